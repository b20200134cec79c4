import { decodeJwt, decodeProtectedHeader, errors, importJWK, jwtVerify } from 'jose';
import type { JWK, JWTPayload } from 'jose';
import { fail } from '#ledger/errors.ts';
import { AUDIENCES_MAX, CLOCK_SKEW_MS, JWT_CHARS_MAX } from './limits.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import type { Proof } from './vouching.ts';

interface KeyType {
  readonly kty: string;
  readonly crv?: string;
}

/** The algorithms of JWT-SVID, 2.1; each with the type of key that it needs (RFC 7518, 3.1). */
const KEY_TYPES: Readonly<Record<string, KeyType>> = {
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
};
export const JWT_ALGORITHMS: readonly string[] = Object.keys(KEY_TYPES);
/** Section 2: any other header makes the token invalid. */
const HEADERS = new Set(['alg', 'kid', 'typ']);
/** Keys that are tried for a token without `kid`. */
const KEYS_TRIED_MAX = 16;

/** A key that signs JWT-SVIDs of its trust domain: the public half, with its key id. */
export interface JwtAuthority {
  readonly kid: string;
  readonly jwk: JWK;
}

/** The keys of one trust domain, or nothing: then its tokens are not trusted. */
export interface JwtAuthorities {
  jwtAuthoritiesOf(trustDomain: string): readonly JwtAuthority[] | undefined;
  /** As that of `X509Authorities`. */
  assertVouched?(proof: Proof): void;
}

export interface JwtSvid {
  readonly id: SpiffeId;
  readonly audience: readonly string[];
  readonly expiry_ms: number;
  /** The one whose key has signed it. */
  readonly authority: JwtAuthority;
  readonly claims: JWTPayload;
}

/**
 * The identity that a token proves to `audience` now (JWT-SVID, sections 2 to 5), or an error; no
 * part of the token is in it. The signature is checked by `jose`, with the keys of the subject's
 * own trust domain only. `audience`: any one of these values must be in the token.
 */
export async function validateJwtSvid(
  token: string,
  audience: readonly string[],
  authorities: JwtAuthorities,
  now_ms: number,
): Promise<JwtSvid> {
  const { alg, kid } = checkHeader(token);
  const claims = readClaims(token);
  if (audience.length === 0) return refuse('no_own_audience', 'the validator has no audience');
  const id = subjectOf(claims);
  checkTimes(claims, now_ms);
  const audiences = audiencesOf(claims);
  if (!audiences.some((one) => audience.includes(one))) {
    return fail('jwt_svid_audience', 'the token is meant for another audience');
  }
  const keys = keysFor(authorities.jwtAuthoritiesOf(id.trustDomain), id.trustDomain, alg, kid);
  for (const authority of keys) {
    if (await isSignedBy(token, authority.jwk, alg, now_ms)) {
      const expiry_ms = (claims.exp as number) * 1000;
      authorities.assertVouched?.({ id, authority, notAfter_ms: expiry_ms });
      return { id, audience: audiences, expiry_ms, claims, authority };
    }
  }
  return fail('jwt_svid_signature', 'the signature does not fit the token and its key');
}

function checkHeader(token: string): { alg: string; kid: string | undefined } {
  if (token.length > JWT_CHARS_MAX) {
    return refuse('size', `a token has at most ${JWT_CHARS_MAX} characters`);
  }
  if (token.split('.').length !== 3) {
    return refuse('serialization', 'a JWT-SVID is in JWS compact serialization');
  }
  const header = attempt(() => decodeProtectedHeader(token));
  const strange = Object.keys(header).find((name) => !HEADERS.has(name));
  if (strange !== undefined) {
    return refuse('header', 'a JWT-SVID has no header but alg, kid and typ');
  }
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string' || !Object.hasOwn(KEY_TYPES, alg)) {
    return refuse('algorithm', `a JWT-SVID is signed with one of ${JWT_ALGORITHMS.join(', ')}`);
  }
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') {
    return refuse('type', 'the typ of a JWT-SVID is JWT or JOSE');
  }
  if (kid !== undefined && typeof kid !== 'string') return refuse('kid', 'a kid is a text');
  return { alg, kid };
}

/** Unverified: used to find the key, and trusted only once the signature fits. */
function readClaims(token: string): JWTPayload {
  return attempt(() => decodeJwt(token));
}

function attempt<T>(read: () => T): T {
  try {
    return read();
  } catch {
    return refuse('malformed', 'the token cannot be read');
  }
}

function subjectOf({ sub }: JWTPayload): SpiffeId {
  if (typeof sub !== 'string') return refuse('subject', 'a JWT-SVID has a subject');
  return parseSpiffeId(sub);
}

function audiencesOf({ aud }: JWTPayload): readonly string[] {
  const values: unknown = typeof aud === 'string' ? [aud] : aud;
  if (
    !Array.isArray(values) ||
    values.length === 0 ||
    values.length > AUDIENCES_MAX ||
    !values.every((value) => typeof value === 'string' && value !== '')
  ) {
    return refuse('audience', `a JWT-SVID has 1 to ${AUDIENCES_MAX} audiences`);
  }
  return values as string[];
}

/** RFC 7519, 4.1.4 and 4.1.5; clocks may differ by `CLOCK_SKEW_MS`. */
function checkTimes({ exp, nbf }: JWTPayload, now_ms: number): void {
  if (typeof exp !== 'number' || !Number.isFinite(exp)) {
    refuse('expiry', 'a JWT-SVID has an expiry time');
  } else if (now_ms >= exp * 1000 + CLOCK_SKEW_MS) {
    fail('svid_expired', 'the token has expired', { notAfter_ms: exp * 1000 });
  }
  if (nbf === undefined) return;
  if (typeof nbf !== 'number') refuse('not_before', 'the nbf of a token is a number');
  else if (now_ms < nbf * 1000 - CLOCK_SKEW_MS) {
    fail('svid_not_yet_valid', 'the token is not valid yet', { notBefore_ms: nbf * 1000 });
  }
}

/** The keys with which the token may be signed: with a `kid` that one, else all that fit. */
function keysFor(
  held: readonly JwtAuthority[] | undefined,
  trustDomain: string,
  alg: string,
  kid: string | undefined,
): readonly JwtAuthority[] {
  if (!held || held.length === 0) {
    return fail('trust_domain_unknown', 'no JWT authorities are held for the trust domain', {
      trustDomain,
    });
  }
  const needed = KEY_TYPES[alg];
  const fitting = held.filter(
    ({ kid: own, jwk }) =>
      (kid === undefined || own === kid) &&
      jwk.kty === needed?.kty &&
      (needed?.crv === undefined || jwk.crv === needed.crv) &&
      (jwk.alg === undefined || jwk.alg === alg),
  );
  if (fitting.length > 0) return fitting.slice(0, KEYS_TRIED_MAX);
  return fail('jwt_svid_key_unknown', 'no key of the trust domain fits the token', { trustDomain });
}

async function isSignedBy(
  token: string,
  jwk: JWK,
  alg: string,
  now_ms: number,
): Promise<boolean> {
  // a key that cannot be imported is none of this token's: WebCrypto throws a DOMException for one
  const key = await importJWK(jwk, alg).catch(() => undefined);
  if (key === undefined) return false;
  try {
    await jwtVerify(token, key, {
      algorithms: [alg],
      requiredClaims: ['sub', 'aud', 'exp'],
      currentDate: new Date(now_ms),
      clockTolerance: CLOCK_SKEW_MS / 1000,
    });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError) return false;
    throw error;
  }
}

function refuse(rule: string, message: string): never {
  return fail('jwt_svid_invalid', message, { rule });
}
