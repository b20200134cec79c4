import { fail } from '#ledger/errors.ts';
import { systemClock } from '#node/system.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { BundleEndpoint } from '#node/identity/bundle-fetch.ts';
import { readInput } from './files.ts';

export interface EndpointOptions {
  /** The profile is `https_spiffe`; else `https_web`. */
  readonly endpointId?: string;
  /** With `endpointId`: a file. */
  readonly bundle?: string;
}

/**
 * The bundle of a foreign trust domain: from its endpoint where the source is a URL, else from a
 * file. What is no bundle is refused here, before it gets a place in the log.
 */
export async function foreignBundle(
  trustDomain: string,
  source: string,
  options: EndpointOptions,
): Promise<Uint8Array> {
  const { parseBundle } = await import('#node/identity/bundle.ts');
  if (!/^[a-z]+:\/\//.test(source)) {
    const document = readInput(source === '-' ? 0 : source);
    parseBundle(trustDomain, document);
    return document;
  }
  const { fetchBundle } = await import('#node/identity/bundle-fetch.ts');
  const profile = await profileOf(options);
  const fetched = await fetchBundle({ url: source, trustDomain, profile }, systemClock.wall_ms());
  return fetched.document;
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
