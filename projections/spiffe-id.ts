import { fail } from '#ledger/errors.ts';

/**
 * SPIFFE IDs (SPIFFE-ID, section 2). Only the normal form is taken: lower-case scheme and trust
 * domain, nothing encoded, nothing relative. Thus two IDs are the same exactly when their texts
 * are, and a trust domain is compared as a whole, never by prefix.
 */
export interface SpiffeId {
  /** The whole ID, e.g. `spiffe://example.org/payments/db`. */
  readonly uri: string;
  /** The name alone, e.g. `example.org`. */
  readonly trustDomain: string;
  /** Empty for a trust domain, else with its leading slash. */
  readonly path: string;
}

/** Bytes of a whole ID (2.3): every implementation takes as many, and none should make more. */
export const SPIFFE_ID_BYTES_MAX = 2048;
/** Bytes of a trust domain's name (2.3, after RFC 3986's bound on a host). */
export const TRUST_DOMAIN_BYTES_MAX = 255;

const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** Fails with `spiffe_id_invalid`; `rule` in its data names what is broken. */
export function parseSpiffeId(uri: string): SpiffeId {
  if (uri.length > SPIFFE_ID_BYTES_MAX) {
    return refuse('length', `a SPIFFE ID has at most ${SPIFFE_ID_BYTES_MAX} bytes`);
  }
  if (!uri.startsWith(SCHEME)) return refuse('scheme', 'a SPIFFE ID begins with spiffe://');
  const rest = uri.slice(SCHEME.length);
  const slash = rest.indexOf('/');
  const trustDomain = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? '' : rest.slice(slash);
  checkTrustDomain(trustDomain);
  checkPath(path);
  return { uri, trustDomain, path };
}

/** The ID of a trust domain itself, which has no path. `name` may be that ID or the bare name. */
export function parseTrustDomain(name: string): SpiffeId {
  const id = parseSpiffeId(name.includes('/') ? name : SCHEME + name);
  return id.path === '' ? id : refuse('path', 'a trust domain has no path');
}

/** The ID of a path in a trust domain. Fails with `spiffe_id_invalid`. */
export function spiffeIdOf(trustDomain: string, path: string): SpiffeId {
  return parseSpiffeId(`${SCHEME}${trustDomain}${path}`);
}

function checkTrustDomain(name: string): void {
  if (name === '') refuse('trust_domain_empty', 'a SPIFFE ID names a trust domain');
  if (name.length > TRUST_DOMAIN_BYTES_MAX) {
    refuse('trust_domain_length', `a trust domain has at most ${TRUST_DOMAIN_BYTES_MAX} bytes`);
  }
  if (!TRUST_DOMAIN.test(name)) {
    refuse(
      'trust_domain_characters',
      'a trust domain holds only a-z, 0-9, dot, dash and underscore: no user, no port, no encoding',
    );
  }
}

function checkPath(path: string): void {
  if (path === '') return;
  const segments = path.slice(1).split('/');
  if (segments.at(-1) === '') refuse('trailing_slash', 'a path ends without a slash');
  for (const segment of segments) {
    if (segment === '') refuse('empty_segment', 'a path has no empty segment');
    if (segment === '.' || segment === '..') {
      refuse('dot_segment', 'a path has no relative segment');
    }
    if (!SEGMENT.test(segment)) {
      refuse(
        'path_characters',
        'a path holds only letters, digits, dot, dash and underscore: no query, fragment, wildcard',
      );
    }
  }
}

function refuse(rule: string, message: string): never {
  return fail('spiffe_id_invalid', message, { rule });
}
