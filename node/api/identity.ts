import { Type } from 'typebox';
import type { Static } from 'typebox';
import { fail } from '#ledger/errors.ts';
import { readIdentity, identity as projection } from '#projections/identity.ts';
import type { IdentityView } from '#projections/identity.ts';
import { selectorText } from '#projections/identity-entries.ts';
import type { RegistrationEntry } from '#projections/identity-entries.ts';
import type { FetchStatus } from '#node/identity/federation-parts.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const Text = Type.String();
const Identities = Type.Object(
  {
    trustDomain: Text,
    entries: Type.Array(
      Type.Object({
        id: Text,
        spiffeId: Text,
        selectors: Type.Array(Text, { description: 'all must hold of a process' }),
        x509Ttl_s: Type.Integer(),
        jwtTtl_s: Type.Integer(),
        hint: Type.Optional(Text),
        federatesWith: Type.Optional(Type.Array(Text)),
        nodes: Type.Optional(
          Type.Array(schemas.ActorId, { description: 'nodes on whose hosts it holds; none: all' }),
        ),
      }),
    ),
    issuers: Type.Array(schemas.ActorId),
    authorities: Type.Array(
      Type.Object({ actor: schemas.ActorId, kid: Text, notAfter_ms: Type.Integer() }),
      { description: 'keys that sign identities now' },
    ),
    sequence: Type.Integer({ description: 'event that last changed the own bundle' }),
    federations: Type.Array(
      Type.Object({
        trustDomain: Text,
        bytes: Type.Integer({ description: 'of the bundle' }),
        endpoint: Type.Optional(
          Type.Object(
            { url: Text, profile: Text, id: Type.Optional(Text) },
            { description: 'where validators fetch it; none: nobody does' },
          ),
        ),
        sequence: Type.Optional(Type.String({ description: 'decimal digits, up to 128 bits' })),
        changed_ms: Type.Integer({ description: 'when the bundle last changed here' }),
        pending: Type.Integer({ description: 'validators that vouch for another bundle' }),
        fetch: Type.Optional(
          Type.Object(
            {
              interval_s: Type.Integer({ description: 'between two polls' }),
              checked_ms: Type.Optional(Type.Integer({ description: 'last success' })),
              failure: Type.Optional(Type.Object({ at_ms: Type.Integer(), code: Text })),
            },
            { description: 'how this node fares with the endpoint, while it is a validator' },
          ),
        ),
      }),
      { description: 'foreign trust domains whose bundles are held' },
    ),
  },
  { description: 'Who has which SPIFFE identity' },
);

/** What `/v1/identity` shows. */
export type IdentitiesJson = Static<typeof Identities>;

export interface IdentityApi {
  /** The own trust domain's bundle (JSON); `undefined` in a network without identities. */
  bundle(): Promise<string | undefined>;
  /** How this node fares with the endpoints of foreign bundles. */
  readonly fetches: readonly FetchStatus[];
}

/**
 * The SPIFFE bundle of this network's trust domain, for those who federate with it. It is public,
 * and no caller is asked who it is (Federation, 5.2.1.3).
 */
export async function identityRoutes(
  app: Api,
  identity: IdentityApi,
  { core }: Pick<LedgerParts, 'core'>,
): Promise<void> {
  app.get(
    '/v1/identity/bundle',
    {
      schema: {
        operationId: 'getIdentityBundle',
        summary: "The SPIFFE bundle of the network's trust domain",
        tags: ['network'],
        response: {
          200: schemas.contentReply('JWK set with spiffe_sequence and spiffe_refresh_hint', {
            'application/json': Type.String(),
          }),
          default: schemas.ErrorReply,
        },
      },
    },
    async (_request, reply) => {
      const document = await identity.bundle();
      if (document === undefined) inactive();
      return reply.type('application/json').send(document);
    },
  );

  app.get(
    '/v1/identity',
    {
      schema: {
        operationId: 'getIdentities',
        summary: 'Registration entries, issuers, authorities and federation',
        tags: ['network'],
        response: { 200: Identities, default: schemas.ErrorReply },
      },
    },
    () => {
      const isActive = core.chain.genesis.projections.some(([name]) => name === projection.name);
      const view = isActive ? readIdentity(core.rows(projection.name, 'final')) : undefined;
      if (!view) return inactive();
      const { trustDomain, entries, issuers, authorities, sequence, federations } = view;
      return {
        trustDomain,
        entries: entries.map(shown),
        issuers: [...issuers],
        authorities: authorities.map(({ actor, jwt: { kid }, notAfter_ms }) => {
          return { actor, kid, notAfter_ms };
        }),
        sequence,
        federations: federations.map((one) => federationShown(one, identity.fetches)),
      };
    },
  );
}

function inactive(): never {
  return fail('identity_inactive', 'this network has no identities on its ledger');
}

function federationShown(
  one: IdentityView['federations'][number],
  fetches: readonly FetchStatus[],
): IdentitiesJson['federations'][number] {
  const { trustDomain, endpoint, sequence, changed_ms, pending } = one;
  const status = fetches.find((each) => each.trustDomain === trustDomain);
  const { trustDomain: _, ...fetch } = status ?? {};
  return {
    trustDomain,
    bytes: one.bundle.length,
    ...(endpoint && { endpoint }),
    ...(sequence !== undefined && { sequence: String(sequence) }),
    changed_ms,
    pending: pending.length,
    ...(status && { fetch: { interval_s: status.interval_s, ...fetch } }),
  };
}

function shown(entry: RegistrationEntry): IdentitiesJson['entries'][number] {
  const { id, spiffeId, selectors, x509Ttl_s, jwtTtl_s, hint, federatesWith, nodes } = entry;
  return {
    id,
    spiffeId: spiffeId.uri,
    selectors: selectors.map(selectorText),
    x509Ttl_s,
    jwtTtl_s,
    ...(hint !== '' && { hint }),
    ...(federatesWith.length > 0 && { federatesWith: [...federatesWith] }),
    ...(nodes.length > 0 && { nodes: [...nodes] }),
  };
}
