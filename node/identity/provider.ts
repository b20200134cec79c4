import { fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import type { PeerProcess } from '#native/peer-process.ts';
import type { RegistrationEntry } from '#projections/identity-entries.ts';
import type { Attestor } from './attest.ts';
import type { Authority } from './authority.ts';
import { serialiseJwtBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { fits, needsDigest } from './entries.ts';
import type { IdentityState } from './entries.ts';
import { validateJwtSvid } from './jwt-svid.ts';
import type { JwtAuthorities } from './jwt-svid.ts';
import { AUDIENCES_MAX, AUDIENCE_CHARS_MAX, IDENTITIES_MAX } from './limits.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import { SvidShelf } from './svid-shelf.ts';
import { structOf } from './workload-proto.ts';
import type * as wire from './workload-proto.ts';

export interface ProviderParts {
  readonly state: IdentityState;
  /** The authority to sign with; `undefined` while there is none. */
  readonly authority: () => Authority | undefined;
  readonly attestor: Attestor;
  readonly clock: Clock;
}

/**
 * What each caller of the Workload API gets: decided from its attested facts and the registration
 * entries of this moment, anew for every message. A caller that no entry fits gets nothing at all,
 * no bundle either (`workload_denied`).
 */
export class Provider {
  readonly #parts: ProviderParts;
  readonly #shelf: SvidShelf;

  constructor(parts: ProviderParts) {
    this.#parts = parts;
    this.#shelf = new SvidShelf(parts.clock);
  }

  /** The entries that fit the caller now, in the order of the snapshot. */
  async entriesOf(caller: PeerProcess): Promise<readonly RegistrationEntry[]> {
    const { state, attestor } = this.#parts;
    const facts = await attestor.facts(caller, false);
    const isUndecided = state.current.entries.some((entry) => needsDigest(entry, facts));
    const all = isUndecided ? await attestor.facts(caller, true) : facts;
    const { entries } = state.current;
    this.#shelf.keep(entries);
    const own = entries.filter((entry) => fits(entry, all)).slice(0, IDENTITIES_MAX);
    return own.length > 0
      ? own
      : fail('workload_denied', 'no registration entry fits the caller', { uid: facts.uid });
  }

  async x509(entries: readonly RegistrationEntry[]): Promise<wire.X509SvidResponse> {
    const authority = this.#authority();
    const bundle = concatenated(this.#parts.state.current.bundle);
    const hints = new Set<string>();
    const svids: wire.X509SvidMessage[] = [];
    for (const entry of entries) {
      const { id, chain, key } = await this.#shelf.take(entry, authority);
      const hint = uniqueHint(entry, hints);
      svids.push({ spiffe_id: id.uri, x509_svid: chain, x509_svid_key: key, bundle, hint });
    }
    return { svids, crl: [], federated_bundles: x509ByDomain(this.#federated(entries)) };
  }

  x509Bundles(entries: readonly RegistrationEntry[]): wire.X509BundlesResponse {
    return { crl: [], bundles: x509ByDomain(this.#bundles(entries)) };
  }

  jwtBundles(entries: readonly RegistrationEntry[]): wire.JwtBundlesResponse {
    const text = new TextEncoder();
    const bundles = this.#bundles(entries).map(
      ({ trustDomain, jwt }) =>
        [`spiffe://${trustDomain}`, text.encode(serialiseJwtBundle(jwt))] as const,
    );
    return { bundles: Object.fromEntries(bundles) };
  }

  async jwt(
    entries: readonly RegistrationEntry[],
    { audience, spiffe_id }: wire.JwtSvidRequest,
  ): Promise<wire.JwtSvidResponse> {
    checkAudiences(audience);
    const wanted = spiffe_id === '' ? undefined : parseSpiffeId(spiffe_id);
    const chosen = entries.filter(({ spiffeId }) => !wanted || spiffeId.uri === wanted.uri);
    if (chosen.length === 0) {
      return fail('workload_denied', 'the caller does not have the identity that it asks for');
    }
    const authority = this.#authority();
    const hints = new Set<string>();
    const svids: wire.JwtSvidMessage[] = [];
    for (const entry of chosen) {
      const svid = await authority.issueJwt(entry.spiffeId, audience, entry.jwtTtl_s);
      svids.push({ spiffe_id: entry.spiffeId.uri, svid, hint: uniqueHint(entry, hints) });
    }
    return { svids };
  }

  /**
   * The token is checked against the bundles that the caller has, for the audience that it gives.
   */
  async validate(
    entries: readonly RegistrationEntry[],
    { audience, svid }: wire.ValidateJwtSvidRequest,
  ): Promise<wire.ValidateJwtSvidResponse> {
    if (svid === '') fail('workload_request_invalid', 'the token is missing', { field: 'svid' });
    checkAudiences([audience]);
    const byDomain = new Map(this.#bundles(entries).map((bundle) => [bundle.trustDomain, bundle]));
    const { vouching } = this.#parts.state.current;
    const now_ms = this.#parts.clock.wall_ms();
    const authorities: JwtAuthorities = {
      jwtAuthoritiesOf: (trustDomain) => byDomain.get(trustDomain)?.jwt,
      assertVouched: (proof) => vouching.assert(proof, now_ms),
    };
    const { id, claims } = await validateJwtSvid(svid, [audience], authorities, now_ms);
    return { spiffe_id: id.uri, claims: structOf(claims) };
  }

  #authority(): Authority {
    return (
      this.#parts.authority() ??
      fail('issuer_not_ready', 'the keys of this node are not in the bundle yet; try again')
    );
  }

  #federated(entries: readonly RegistrationEntry[]): readonly Bundle[] {
    const wanted = new Set(entries.flatMap(({ federatesWith }) => federatesWith));
    return this.#parts.state.current.federated.filter(({ trustDomain }) => wanted.has(trustDomain));
  }

  #bundles(entries: readonly RegistrationEntry[]): readonly Bundle[] {
    return [this.#parts.state.current.bundle, ...this.#federated(entries)];
  }
}

function concatenated({ x509 }: Bundle): Uint8Array {
  return Buffer.concat(x509.map(({ der }) => der));
}

function x509ByDomain(bundles: readonly Bundle[]): Record<string, Uint8Array> {
  const rows = bundles.map((one) => [`spiffe://${one.trustDomain}`, concatenated(one)] as const);
  return Object.fromEntries(rows);
}

/** A hint that stands already in the response is left out (Workload API, 5.2.1). */
function uniqueHint({ hint }: RegistrationEntry, used: Set<string>): string {
  if (hint === '' || used.has(hint)) return '';
  used.add(hint);
  return hint;
}

function checkAudiences(audience: readonly string[]): void {
  const isGiven = audience.length > 0 && audience.every((one) => one !== '');
  const isBounded =
    audience.length <= AUDIENCES_MAX && audience.every((one) => one.length <= AUDIENCE_CHARS_MAX);
  if (isGiven && isBounded) return;
  fail('workload_request_invalid', `a token is for 1 to ${AUDIENCES_MAX} audiences`, {
    field: 'audience',
  });
}
