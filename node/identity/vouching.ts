import { fail } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';
import type { RegistrationEntry } from '#projections/identity-entries.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import type { Certificate } from './certificate.ts';
import { holdsOn } from './entries.ts';
import { CLOCK_SKEW_MS } from './limits.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import { OWN_SVID_TTL_S, nodeId } from './own-svid.ts';

/** What an SVID says, and the authority that it led to. */
export interface Proof {
  readonly id: SpiffeId;
  readonly authority: Certificate | JwtAuthority;
  readonly notAfter_ms: number;
}

/** An authority with the actor whose node published it. */
export interface Published {
  readonly actor: Id;
  readonly x509: Certificate;
  readonly jwt: JwtAuthority;
}

const SKEW_S = CLOCK_SKEW_MS / 1000;

/**
 * For which IDs of the own trust domain an authority may vouch: a node's for the node itself, and
 * for what the registration entries of this moment let it issue. One stolen node is not everybody.
 * Authorities are told apart by their public keys: who publishes another's key in a certificate of
 * his own takes nothing from it.
 */
export class Vouching {
  readonly #trustDomain: string;
  readonly #entries: ReadonlyMap<string, readonly RegistrationEntry[]>;
  readonly #owners = new Map<string, Set<Id>>();

  /** `entries`: for all nodes. `published`: what counts now. */
  constructor(
    trustDomain: string,
    entries: readonly RegistrationEntry[],
    published: readonly Published[],
  ) {
    this.#trustDomain = trustDomain;
    this.#entries = Map.groupBy(entries, ({ spiffeId }) => spiffeId.uri);
    for (const { actor, x509, jwt } of published) {
      for (const key of [keyName(x509), keyName(jwt)]) {
        this.#owners.set(key, (this.#owners.get(key) ?? new Set()).add(actor));
      }
    }
  }

  /** Whether the authority's key is one that counts on the ledger. */
  knows(authority: Certificate | JwtAuthority): boolean {
    return this.#owners.has(keyName(authority));
  }

  /**
   * Fails with `svid_not_registered` where the authority may not vouch for the ID, or not for so
   * long. Says nothing of other trust domains: whose their IDs are is their own affair.
   */
  assert({ id, authority, notAfter_ms }: Proof, now_ms: number): void {
    if (id.trustDomain !== this.#trustDomain) return;
    const type = 'kid' in authority ? 'jwtTtl_s' : 'x509Ttl_s';
    const owners = [...(this.#owners.get(keyName(authority)) ?? [])];
    const lives = [
      ...(owners.some((actor) => nodeId(id.trustDomain, actor).uri === id.uri)
        ? [OWN_SVID_TTL_S]
        : []),
      ...(this.#entries.get(id.uri) ?? [])
        .filter((entry) => owners.some((actor) => holdsOn(entry, actor)))
        .map((entry) => entry[type]),
    ];
    if (lives.length === 0) {
      fail('svid_not_registered', 'no registration entry lets its issuer vouch for this ID', {
        id: id.uri,
        issuers: owners.join(' '),
      });
    }
    const life_s = Math.max(...lives);
    if (notAfter_ms - now_ms > (life_s + SKEW_S) * 1000) {
      fail('svid_not_registered', 'the SVID holds for longer than its registration entry allows', {
        id: id.uri,
        life_s,
      });
    }
  }
}

/** The public key, as a text that is the same for the same key. */
function keyName(authority: Certificate | JwtAuthority): string {
  if (!('kid' in authority)) {
    return `x509 ${authority.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')}`;
  }
  const { kty, crv, x, y, n, e } = authority.jwk;
  return `jwt ${JSON.stringify([kty, crv, x, y, n, e])}`;
}
