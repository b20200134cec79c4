import { Type } from 'typebox';
import { FEDERATES_MAX, HINT_CHARS_MAX, NODES_MAX, SELECTORS_MAX } from './identity-entries.ts';
import { SPIFFE_ID_BYTES_MAX, TRUST_DOMAIN_BYTES_MAX } from './spiffe-id.ts';

/**
 * Bodies of the kinds that say who has which SPIFFE identity. What a schema cannot say is checked
 * by the reducer.
 */

/** Bytes of an X.509 authority: a root on P-256 has about 500. */
export const AUTHORITY_BYTES_MAX = 4096;
/** Bytes of a foreign bundle: with its envelope it fits into an event. */
export const FOREIGN_BUNDLE_BYTES_MAX = 60 * 1024;
const KID_CHARS_MAX = 64;
/** Characters of an endpoint's URL. */
const ENDPOINT_CHARS_MAX = 1024;

const bytes = (about: string, min: number, max: number) =>
  Type.Refine(
    Type.Unsafe<Uint8Array>({ description: about }),
    (value) => value instanceof Uint8Array && value.length >= min && value.length <= max,
  );
const Actor = bytes('actor, 32 bytes', 32, 32);
const TrustDomain = Type.String({ minLength: 1, maxLength: TRUST_DOMAIN_BYTES_MAX });
const EntryId = Type.String({ pattern: '^[a-zA-Z0-9._-]{1,64}$' });
const plain = { additionalProperties: false } as const;

/** `identity.entry/1`: sets the entry of this id, or without `entry` removes it. */
export const IdentityEntry = Type.Object(
  {
    id: EntryId,
    entry: Type.Optional(
      Type.Object(
        {
          spiffeId: Type.String({ minLength: 1, maxLength: SPIFFE_ID_BYTES_MAX }),
          selectors: Type.Array(Type.String({ minLength: 1, maxLength: 4200 }), {
            minItems: 1,
            maxItems: SELECTORS_MAX,
            description: 'unix:uid:N, unix:gid:N, unix:path:P, unix:sha256:HEX; all must hold',
          }),
          x509Ttl_s: Type.Optional(Type.Integer({ minimum: 1 })),
          jwtTtl_s: Type.Optional(Type.Integer({ minimum: 1 })),
          hint: Type.Optional(Type.String({ maxLength: HINT_CHARS_MAX })),
          federatesWith: Type.Optional(Type.Array(TrustDomain, { maxItems: FEDERATES_MAX })),
          nodes: Type.Optional(
            Type.Array(Actor, {
              maxItems: NODES_MAX,
              description: 'nodes on whose hosts it holds; none: on all',
            }),
          ),
        },
        plain,
      ),
    ),
  },
  plain,
);

/** `identity.issuer/1`: whether an actor may publish authorities of the trust domain. */
export const IdentityIssuer = Type.Object({ actor: Actor, allowed: Type.Boolean() }, plain);

/** `identity.authority/1`: keys with which the author issues SVIDs from now on. */
export const IdentityAuthority = Type.Object(
  {
    x509: bytes('self-signed CA certificate, DER', 1, AUTHORITY_BYTES_MAX),
    jwt: Type.Object(
      {
        kid: Type.String({ minLength: 1, maxLength: KID_CHARS_MAX }),
        x: bytes('P-256, x of the public key', 32, 32),
        y: bytes('P-256, y of the public key', 32, 32),
      },
      plain,
    ),
    notAfter_ms: Type.Integer({ minimum: 0, description: 'end of both, ms since the Unix epoch' }),
  },
  plain,
);

/** `identity.revocation/1`: takes authorities out of the bundle. */
export const IdentityRevocation = Type.Object(
  { actor: Actor, kid: Type.String({ minLength: 1, maxLength: KID_CHARS_MAX }) },
  plain,
);

const ForeignBundle = bytes('SPIFFE bundle, JSON', 2, FOREIGN_BUNDLE_BYTES_MAX);

/**
 * `identity.federation/1`: sets the relationship with a foreign trust domain as a whole. Without
 * `bundle` the held one stays, without `bundle` and `endpoint` the relationship ends.
 */
export const IdentityFederation = Type.Object(
  {
    trustDomain: TrustDomain,
    bundle: Type.Optional(ForeignBundle),
    endpoint: Type.Optional(
      Type.Object(
        {
          url: Type.String({ minLength: 9, maxLength: ENDPOINT_CHARS_MAX }),
          profile: Type.Enum(['https_web', 'https_spiffe']),
          id: Type.Optional(Type.String({ minLength: 1, maxLength: SPIFFE_ID_BYTES_MAX })),
        },
        { ...plain, description: 'where validators fetch the bundle again; none: nobody does' },
      ),
    ),
  },
  plain,
);

/** `identity.refresh/1`: what its author fetched from the endpoint of a relationship. */
export const IdentityRefresh = Type.Object(
  {
    trustDomain: TrustDomain,
    basis: bytes('id of the event that set the relationship', 32, 32),
    digest: bytes('SHA-256 of the bundle without its sequence', 32, 32),
    sequence: Type.Optional(
      Type.String({ pattern: '^(0|[1-9][0-9]{0,38})$', maxLength: 39, description: 'decimal' }),
    ),
    bundle: Type.Optional(ForeignBundle),
  },
  plain,
);
