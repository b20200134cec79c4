import { fail } from '#ledger/errors.ts';
import { systemClock } from '#node/system.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { EndpointParameters } from '#projections/identity-federation.ts';
import type { BundleEndpoint } from '#node/identity/bundle-fetch.ts';
import { readInput } from './files.ts';

export interface EndpointOptions {
  /** The profile is `https_spiffe`; else `https_web`. */
  readonly endpointId?: string;
  /** With `endpointId`: a file. */
  readonly bundle?: string;
}

/** What goes into the event: how the bundle is found again is told with it. */
export interface ForeignBundle {
  readonly bundle: Uint8Array;
  readonly endpoint?: EndpointParameters;
}

/**
 * The bundle of a foreign trust domain: from its endpoint where the source is a URL, else from a
 * file. What is no bundle is refused here, before it gets a place in the log.
 */
export async function foreignBundle(
  trustDomain: string,
  source: string,
  options: EndpointOptions,
): Promise<ForeignBundle> {
  const { ledgerDocument, parseBundle } = await import('#node/identity/bundle.ts');
  const { assertOwn, fetchBundle } = await import('#node/identity/bundle-fetch.ts');
  if (!/^[a-z]+:\/\//.test(source)) {
    const bundle = parseBundle(trustDomain, readInput(source === '-' ? 0 : source));
    assertOwn(bundle);
    return { bundle: ledgerDocument(bundle) };
  }
  const profile = await profileOf(options);
  const fetched = await fetchBundle({ url: source, trustDomain, profile }, systemClock.wall_ms());
  const { endpointId: id } = options;
  return {
    bundle: ledgerDocument(fetched.bundle),
    endpoint: { url: source, profile: profile.type, ...(id !== undefined && { id }) },
  };
}

async function profileOf({
  endpointId,
  bundle: file,
}: EndpointOptions): Promise<BundleEndpoint['profile']> {
  if (endpointId === undefined) return { type: 'https_web' };
  const { parseBundle } = await import('#node/identity/bundle.ts');
  const id = parseSpiffeId(endpointId);
  if (file === undefined) {
    fail('usage', "Name the bundle of the endpoint's trust domain with --bundle FILE.");
  }
  const { x509 } = parseBundle(id.trustDomain, readInput(file));
  return {
    type: 'https_spiffe',
    endpointId: id,
    authorities: { x509AuthoritiesOf: (name) => (name === id.trustDomain ? x509 : undefined) },
  };
}
