import type { JWK } from 'jose';
import { fail } from '#ledger/errors.ts';
import { isNewer, readBundleHead, refuseBundle } from '#projections/bundle-head.ts';
import type { Json } from '#projections/bundle-head.ts';
import { FOREIGN_BUNDLE_BYTES_MAX } from '#projections/identity-kinds.ts';
import { AUTHORITIES_MAX } from '#projections/identity.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { JwtAuthority } from './jwt-svid.ts';

/**
 * The authorities of one trust domain (Trust Domain and Bundle, sections 3 and 4). An empty bundle
 * is valid and means that nothing of the domain is trusted. Bundles of different domains are never
 * merged (Federation, 4.2).
 */
export interface Bundle {
  readonly trustDomain: string;
  readonly x509: readonly Certificate[];
  readonly jwt: readonly JwtAuthority[];
  /** 64 bits and more: no JavaScript number. */
  readonly sequence: bigint | undefined;
  readonly refreshHint_s: number | undefined;
}

/** Public members of a JWK by type (RFC 7518, 6): others are dropped, private ones among them. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'x', 'y'],
  RSA: ['n', 'e'],
  OKP: ['crv', 'x'],
};

/** TypeScript's library does not know it yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(this: void, text: string): object };

/**
 * Reads a bundle document of a trust domain, which the caller knows: the document does not name it.
 * Entries of an unknown type or use, or that cannot be read, are left out, as section 4 demands;
 * `bundle_invalid` where the document as a whole is none.
 */
export function parseBundle(trustDomain: string, document: Uint8Array | string): Bundle {
  const { keys, sequence, refreshHint_s } = readBundleHead(document);
  const entries = keys.filter(({ kty }) => typeof kty === 'string' && Object.hasOwn(MEMBERS, kty));
  const x509 = entries.flatMap((entry) => (entry.use === 'x509-svid' ? certificateOf(entry) : []));
  const jwt = entries.flatMap((entry) => (entry.use === 'jwt-svid' ? authorityOf(entry) : []));
  return { trustDomain, x509: bounded(x509), jwt: bounded(jwt), sequence, refreshHint_s };
}

/**
 * The keys of a JWT bundle as the Workload API gives it: a JWK set that holds JWT keys only, so
 * that `use` may be missing (Workload API, 6.2.2).
 */
export function parseJwtBundle(document: Uint8Array | string): readonly JwtAuthority[] {
  const keys = readBundleHead(document).keys.flatMap((entry) =>
    entry.use === undefined || entry.use === 'jwt-svid' ? authorityOf(entry) : [],
  );
  return bounded(keys);
}

/** What is handed on to workloads has to be what they take. */
function bounded<T>(authorities: readonly T[]): readonly T[] {
  if (authorities.length <= AUTHORITIES_MAX) return authorities;
  return refuseBundle('count', 'a bundle has too many authorities');
}

/** The document of a bundle; the same bundle gives the same text. */
export function serialiseBundle({ x509, jwt, sequence, refreshHint_s }: Bundle): string {
  const keys = [
    ...x509.map((certificate) => ({
      use: 'x509-svid',
      ...publicMembers(certificate.publicKey.export({ format: 'jwk' })),
      x5c: [certificate.der.toBase64()],
    })),
    ...jwt.map(jwtEntry),
  ];
  return JSON.stringify({ keys, ...headOf({ sequence, refreshHint_s }) });
}

function headOf({ sequence, refreshHint_s }: Pick<Bundle, 'sequence' | 'refreshHint_s'>): object {
  return {
    ...(sequence !== undefined && { spiffe_sequence: rawJSON(String(sequence)) }),
    ...(refreshHint_s !== undefined && { spiffe_refresh_hint: refreshHint_s }),
  };
}

/**
 * The document as it stands on the ledger: the same bundle gives the same bytes, in whatever order
 * its endpoint names the keys. The key of a certificate is not told twice. Fails with
 * `bundle_invalid` for one that fits into no event.
 */
export function ledgerDocument({ x509, jwt, sequence, refreshHint_s }: Bundle): Uint8Array {
  const keys = [
    ...x509.map(({ der, publicKey: { asymmetricKeyType: type } }) => {
      const kty = type === 'ec' ? 'EC' : type?.startsWith('rsa') === true ? 'RSA' : 'OKP';
      return { use: 'x509-svid', kty, x5c: [der.toBase64()] };
    }),
    ...jwt.map((one) => ({ ...jwtEntry(one), ...(one.jwk.alg && { alg: one.jwk.alg }) })),
  ];
  const byText = new Map(keys.map((one) => [JSON.stringify(one), one]));
  const sorted = [...byText].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  const text = JSON.stringify({ keys: sorted, ...headOf({ sequence, refreshHint_s }) });
  const document = new TextEncoder().encode(text);
  if (document.length <= FOREIGN_BUNDLE_BYTES_MAX) return document;
  return refuseBundle('size', 'the bundle is too large for the ledger');
}

/** The JWK set of the JWT keys alone, as the Workload API gives it. */
export function serialiseJwtBundle(jwt: readonly JwtAuthority[]): string {
  return JSON.stringify({ keys: jwt.map(jwtEntry) });
}

/**
 * The newer of two bundles of one trust domain (Federation, 4.2): by sequence; without one, what
 * was fetched last. Fails with `bundle_other_domain` when they are not of one domain.
 */
export function newerBundle(held: Bundle | undefined, fetched: Bundle): Bundle {
  if (!held) return fetched;
  if (held.trustDomain !== fetched.trustDomain) {
    fail('bundle_other_domain', 'bundles of different trust domains are kept apart', {
      held: held.trustDomain,
      fetched: fetched.trustDomain,
    });
  }
  return isNewer(held.sequence, fetched.sequence) ? fetched : held;
}

function jwtEntry({ kid, jwk }: JwtAuthority): Json {
  return { use: 'jwt-svid', kid, ...publicMembers(jwk) };
}

/** X509-SVID, 6.2: the first value of `x5c` counts; without one the entry is ignored. */
function certificateOf({ x5c }: Json): Certificate[] {
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined;
  if (typeof first !== 'string') return [];
  try {
    const certificate = readCertificate(Uint8Array.fromBase64(first));
    return certificate.isCa ? [certificate] : [];
  } catch {
    return [];
  }
}

/** JWT-SVID, 6.1: an entry has a `kid`; one that has none is ignored. */
function authorityOf({ kid, ...jwk }: Json): JwtAuthority[] {
  if (typeof kid !== 'string' || kid === '') return [];
  const own: Json = { ...publicMembers(jwk) };
  const wanted = MEMBERS[String(own.kty)];
  if (!wanted?.every((name) => typeof own[name] === 'string')) return [];
  return [{ kid, jwk: { ...own, ...(typeof jwk.alg === 'string' && { alg: jwk.alg }) } }];
}

function publicMembers(jwk: object): JWK {
  const { kty } = jwk as JWK;
  const names = ['kty', ...(MEMBERS[kty ?? ''] ?? [])];
  return Object.fromEntries(names.map((name) => [name, (jwk as Json)[name]]));
}
