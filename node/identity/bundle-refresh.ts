import { fail } from '#ledger/errors.ts';
import { idOf } from '#ledger/ids.ts';
import type { EndpointParameters, Federation } from '#projections/identity-federation.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import { fetchBundle } from './bundle-fetch.ts';
import type { EndpointProfile } from './bundle-fetch.ts';
import { ledgerDocument, newerBundle, parseBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import type { IdentitySnapshot } from './entries.ts';
import type { Refetched } from './federation-parts.ts';
import { LedgerIdentity } from './ledger-identity.ts';
import type { IdentityParts } from './service.ts';
import type { X509Authorities } from './x509-svid.ts';

/** What the ledger holds for a poll. */
export interface HeldTrust {
  /** The relationship's document. */
  readonly document: Uint8Array;
  /** Bundles as they were known last: they judge an endpoint's SVID (Federation, 5.2.2.4). */
  readonly authorities: X509Authorities;
}

/**
 * Fetches the bundle of a relationship again from where its operator said. `undefined` where its
 * authorities and refresh hint are those that are held: a sequence alone is no change. Fails as
 * `fetchBundle` does, with `bundle_stale` for one that is older than the held one, and with
 * `bundle_invalid` for one that is too large for the ledger.
 */
export async function refetch(
  { trustDomain, endpoint }: Pick<Federation, 'trustDomain'> & {
    readonly endpoint: EndpointParameters;
  },
  { document, authorities }: HeldTrust,
  now_ms: number,
): Promise<Refetched | undefined> {
  const profile = profileOf(endpoint, authorities);
  const { bundle } = await fetchBundle({ url: endpoint.url, trustDomain, profile }, now_ms);
  const held = parseBundle(trustDomain, document);
  if (contentOf(held) === contentOf(bundle)) return undefined;
  if (newerBundle(held, bundle) === held) {
    fail('bundle_stale', 'The endpoint gives a bundle that is not newer than the held one.', {
      trustDomain,
      held: String(held.sequence),
      fetched: String(bundle.sequence),
    });
  }
  // the sequence is told beside it: endpoints may count polls
  const made = ledgerDocument({ ...bundle, sequence: undefined });
  return { document: made, digest: idOf(made), sequence: bundle.sequence };
}

/**
 * Authorities of the trust domains on the ledger as it stands: of foreign ones by their
 * relationships, of the own one by what its nodes published, as entries let these vouch.
 */
export function heldAuthorities(
  { ledger, actor, clock, log }: Pick<IdentityParts, 'ledger' | 'actor' | 'clock' | 'log'>,
): X509Authorities {
  const view = ledger.view();
  let read: IdentitySnapshot | undefined;
  const own = (): IdentitySnapshot | undefined => {
    if (!view) return undefined;
    const { mayIssue, finals } = ledger;
    const parts = { view: () => view, mayIssue, finals, clock, log, actor };
    return (read ??= new LedgerIdentity(parts).current);
  };
  return {
    x509AuthoritiesOf: (name) => {
      const foreign = view?.federations.find(({ trustDomain }) => trustDomain === name);
      if (foreign) return parseBundle(name, foreign.bundle).x509;
      return name === view?.trustDomain ? own()?.bundle.x509 : undefined;
    },
    assertVouched: (proof) => {
      if (proof.id.trustDomain !== view?.trustDomain) return;
      own()?.vouching.assert(proof, clock.wall_ms());
    },
  };
}

/** All but the sequence. */
function contentOf(bundle: Bundle): string {
  return new TextDecoder().decode(ledgerDocument({ ...bundle, sequence: undefined }));
}

function profileOf({ profile, id }: EndpointParameters, authorities: X509Authorities) {
  if (profile === 'https_web') return { type: profile } satisfies EndpointProfile;
  const endpointId = parseSpiffeId(id ?? '');
  return { type: profile, endpointId, authorities } satisfies EndpointProfile;
}
