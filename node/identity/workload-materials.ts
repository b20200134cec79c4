import { createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { fail } from '#ledger/errors.ts';
import { readCertificates } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { parseJwtBundle } from './bundle.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import { IDENTITIES_MAX, TRUST_DOMAINS_MAX } from './limits.ts';
import { parseTrustDomain } from '#projections/spiffe-id.ts';
import { validateX509Svid } from './x509-svid.ts';
import type { X509Svid } from './x509-svid.ts';
import type {
  JwtBundlesResponse,
  X509BundlesResponse,
  X509SvidMessage,
  X509SvidResponse,
} from './workload-proto.ts';

/** An own X.509-SVID with its private key, as the Workload API gave it. */
export interface OwnSvid extends X509Svid {
  readonly privateKey: KeyObject;
  readonly hint: string;
}

/** By name of the trust domain. */
export type X509Bundles = ReadonlyMap<string, readonly Certificate[]>;
export type JwtBundles = ReadonlyMap<string, readonly JwtAuthority[]>;

/** What one message of `FetchX509SVID` gives: all of it, so that what is missing is revoked. */
export interface X509Context {
  /** The first is the default identity. */
  readonly svids: readonly OwnSvid[];
  readonly bundles: X509Bundles;
}

/**
 * Reads and checks a message as a whole: each SVID by the rules of X.509-SVIDs, against its own
 * bundle, with its own key. Fails with `workload_response_invalid` or with the error of the rule.
 */
export function readX509Context(message: X509SvidResponse, now_ms: number): X509Context {
  if (message.svids.length === 0) refuse('svids');
  if (message.svids.length > IDENTITIES_MAX) refuse('svids');
  const bundles = new Map(readX509Bundles(message.federated_bundles));
  const hints = new Set<string>();
  const svids: OwnSvid[] = [];
  for (const one of message.svids) {
    const svid = readSvid(one, now_ms);
    bundles.set(svid.id.trustDomain, readCertificates(one.bundle));
    // of several with one hint the first counts (Workload API, 5.2.1)
    if (one.hint !== '' && hints.has(one.hint)) continue;
    hints.add(one.hint);
    svids.push(svid);
  }
  return { svids, bundles };
}

function readSvid(message: X509SvidMessage, now_ms: number): OwnSvid {
  const { spiffe_id, x509_svid, x509_svid_key, bundle, hint } = message;
  if (spiffe_id === '') refuse('spiffe_id');
  if (x509_svid.length === 0) refuse('x509_svid');
  if (x509_svid_key.length === 0) refuse('x509_svid_key');
  if (bundle.length === 0) refuse('bundle');
  const authorities = readCertificates(bundle);
  const svid = validateX509Svid(x509_svid, { x509AuthoritiesOf: () => authorities }, now_ms);
  if (svid.id.uri !== spiffe_id) refuse('spiffe_id');
  const privateKey = readKey(x509_svid_key);
  if (svid.chain[0]?.openssl.checkPrivateKey(privateKey) !== true) refuse('x509_svid_key');
  return { ...svid, privateKey, hint };
}

/** PKCS #8 without encryption; what OpenSSL says of it is not passed on. */
function readKey(der: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
  } catch {
    return refuse('x509_svid_key');
  }
}

/** A message of `FetchX509Bundles`. */
export function readX509BundlesMessage({ bundles }: X509BundlesResponse): X509Bundles {
  if (Object.keys(bundles).length === 0) refuse('bundles');
  return readX509Bundles(bundles);
}

function readX509Bundles(bundles: Readonly<Record<string, Uint8Array>>): X509Bundles {
  return byTrustDomain(bundles, readCertificates);
}

/** A message of `FetchJWTBundles`. */
export function readJwtBundlesMessage({ bundles }: JwtBundlesResponse): JwtBundles {
  if (Object.keys(bundles).length === 0) refuse('bundles');
  return byTrustDomain(bundles, parseJwtBundle);
}

function byTrustDomain<T>(
  rows: Readonly<Record<string, Uint8Array>>,
  read: (bytes: Uint8Array) => T,
): ReadonlyMap<string, T> {
  const names = Object.entries(rows);
  if (names.length > TRUST_DOMAINS_MAX) refuse('bundles');
  return new Map(names.map(([id, bytes]) => [parseTrustDomain(id).trustDomain, read(bytes)]));
}

/** `field`: which one is missing or does not fit the others (Workload API, 4.5). */
function refuse(field: string): never {
  return fail('workload_response_invalid', 'the Workload API gave an invalid message', { field });
}
