import { fail } from '#ledger/errors.ts';
import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import { parseSpiffeId, parseTrustDomain } from '#projections/spiffe-id.ts';
import type { DirectFetch } from './exchange.ts';
import { systemClock } from './system.ts';

/**
 * How a node asks nodes of its own network at https addresses: their servers are judged by what it
 * believes itself. Rejects with `server_trust_missing` in a network without identities, and as
 * `spiffeFetch`.
 */
export function networkFetch(trust: () => Promise<SpiffeTrust | undefined>): DirectFetch {
  let made: Promise<DirectFetch> | undefined;
  return async (url, request) => {
    made ??= make(trust).catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return (await made)(url, request);
  };
}

async function make(trust: () => Promise<SpiffeTrust | undefined>): Promise<DirectFetch> {
  const authorities = await trust();
  if (!authorities) {
    const message = 'This network has no identities on its ledger: ask its nodes over http.';
    return () => fail('server_trust_missing', message);
  }
  const { spiffeFetch } = await import('./spiffe-fetch.ts');
  return spiffeFetch({
    authorities,
    get servers() {
      const domains = authorities.ownIds.map((uri) => parseSpiffeId(uri).trustDomain);
      return [...new Set(domains)].map(parseTrustDomain);
    },
    clock: systemClock,
  });
}
