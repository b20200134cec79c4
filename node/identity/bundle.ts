import type { JWK } from 'jose';
import { fail } from '#ledger/errors.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import { BUNDLE_BYTES_MAX, BUNDLE_KEYS_MAX } from './limits.ts';

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

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a bundle document of a trust domain, which the caller knows: the document does not name it.
 * Entries of an unknown type or use, or that cannot be read, are left out, as section 4 demands;
 * `bundle_invalid` where the document as a whole is none.
 */
export function parseBundle(trustDomain: string, document: Uint8Array | string): Bundle {
  const { keys, ...parameters } = parseJwks(document);
  const entries = keys.filter(({ kty }) => typeof kty === 'string' && Object.hasOwn(MEMBERS, kty));
  return {
    trustDomain,
    x509: entries.flatMap((entry) => (entry.use === 'x509-svid' ? certificateOf(entry) : [])),
    jwt: entries.flatMap((entry) => (entry.use === 'jwt-svid' ? authorityOf(entry) : [])),
    sequence: sequenceOf(parameters),
    refreshHint_s: refreshHintOf(parameters),
  };
}

/**
 * The keys of a JWT bundle as the Workload API gives it: a JWK set that holds JWT keys only, so
 * that `use` may be missing (Workload API, 6.2.2).
 */
export function parseJwtBundle(document: Uint8Array | string): readonly JwtAuthority[] {
  return parseJwks(document).keys.flatMap((entry) =>
    entry.use === undefined || entry.use === 'jwt-svid' ? authorityOf(entry) : [],
  );
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
  const head = {
    ...(sequence !== undefined && { spiffe_sequence: rawJSON(String(sequence)) }),
    ...(refreshHint_s !== undefined && { spiffe_refresh_hint: refreshHint_s }),
  };
  return JSON.stringify({ keys, ...head });
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
  if (held.sequence === undefined || fetched.sequence === undefined) return fetched;
  return fetched.sequence > held.sequence ? fetched : held;
}

function jwtEntry({ kid, jwk }: JwtAuthority): Json {
  return { use: 'jwt-svid', kid, ...publicMembers(jwk) };
}

function parseJwks(document: Uint8Array | string): Json & { readonly keys: readonly Json[] } {
  if (document.length > BUNDLE_BYTES_MAX) return refuse('size', 'a bundle is too large');
  const text = typeof document === 'string' ? document : new TextDecoder().decode(document);
  const value = parseJson(text);
  if (!isObject(value)) return refuse('json', 'a bundle is a JSON object');
  const { keys } = value;
  if (!Array.isArray(keys)) return refuse('keys', 'a bundle has the parameter keys, an array');
  if (keys.length > BUNDLE_KEYS_MAX) return refuse('count', 'a bundle has too many keys');
  return { ...value, keys: keys.filter(isObject) };
}

/** Whole numbers that a double cannot hold come as `bigint`. */
function parseJson(text: string): unknown {
  const exact = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    const source = context?.source;
    const isLarge = typeof value === 'number' && !Number.isSafeInteger(value);
    return isLarge && source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value;
  };
  try {
    return JSON.parse(text, exact);
  } catch {
    return refuse('json', 'a bundle is JSON');
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

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

function sequenceOf({ spiffe_sequence: value }: Json): bigint | undefined {
  if (value === undefined) return undefined;
  const isWhole = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!isWhole) return refuse('sequence', 'the sequence of a bundle is an integer');
  const sequence = BigInt(value as number | bigint);
  return sequence >= 0n ? sequence : refuse('sequence', 'the sequence of a bundle is not negative');
}

function refreshHintOf({ spiffe_refresh_hint: value }: Json): number | undefined {
  if (value === undefined) return undefined;
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? (value as number)
    : refuse('refresh_hint', 'the refresh hint of a bundle is a number of seconds');
}

function refuse(rule: string, message: string): never {
  return fail('bundle_invalid', message, { rule });
}
