import { X0tError, fail } from '#ledger/errors.ts';
import type { Certificate, UriConstraints } from './certificate.ts';
import { CLOCK_SKEW_MS } from './limits.ts';

/** Certificates between a leaf and its authority. */
const INTERMEDIATES_MAX = 6;
/** Signatures that one validation checks: a hostile chain of look-alikes must not cost more. */
const SIGNATURES_MAX = 64;

/**
 * The path from a leaf over intermediates to one of the anchors, both included: signatures, names,
 * CA flag, key usage, path length, URI name constraints and validity of each, by RFC 5280, 6.1.
 * Policies are not used in SPIFFE, and revocation is by short life. `accept` throws what is wrong
 * with a path that is right otherwise: then others are looked for, so that nobody who has another's
 * key certified stands in its way. Fails with `svid_untrusted` when there is none, or with what
 * `accept` threw last.
 */
export function trustPath(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  anchors: readonly Certificate[],
  now_ms: number,
  accept: (path: readonly Certificate[]) => void,
): readonly Certificate[] {
  let signatures = 0;
  let refusal: X0tError | undefined;

  const isAccepted = (path: readonly Certificate[]): boolean => {
    try {
      accept(path);
      return true;
    } catch (error) {
      if (!(error instanceof X0tError)) throw error;
      refusal = error;
      return false;
    }
  };

  const search = (path: readonly Certificate[]): readonly Certificate[] | undefined => {
    const subject = path.at(-1) as Certificate;
    for (const issuer of [...anchors, ...intermediates]) {
      if (path.includes(issuer) || !mayIssue(issuer, path, now_ms)) continue;
      if (++signatures > SIGNATURES_MAX) return undefined;
      if (!subject.openssl.verify(issuer.publicKey)) continue;
      const longer = [...path, issuer];
      if (anchors.includes(issuer)) {
        if (isAccepted(longer)) return longer;
        continue;
      }
      const found = longer.length <= INTERMEDIATES_MAX ? search(longer) : undefined;
      if (found) return found;
    }
    return undefined;
  };

  const path = search([leaf]);
  if (path) return path;
  if (refusal) throw refusal;
  return fail('svid_untrusted', 'the certificate leads to no authority of its trust domain');
}

/** All but the signature: whether `issuer` can stand above `path`. */
function mayIssue(issuer: Certificate, path: readonly Certificate[], now_ms: number): boolean {
  const subject = path.at(-1) as Certificate;
  if (!issuer.isCa || issuer.keyUsage?.has('keyCertSign') === false) return false;
  if (now_ms > issuer.notAfter_ms + CLOCK_SKEW_MS) return false;
  if (now_ms < issuer.notBefore_ms - CLOCK_SKEW_MS) return false;
  // names and key identifiers
  if (!subject.openssl.checkIssued(issuer.openssl)) return false;
  const between = path.slice(1).filter(({ isSelfIssued }) => !isSelfIssued).length;
  if (issuer.pathLength !== undefined && between > issuer.pathLength) return false;
  const { uriConstraints } = issuer;
  return (
    uriConstraints === undefined ||
    path.every(({ uris }) => uris.every((uri) => isWithin(uri, uriConstraints)))
  );
}

/** RFC 5280, 4.2.1.10: a constraint is a host, or with a leading dot any host below a name. */
function isWithin(uri: string, { permitted, excluded }: UriConstraints): boolean {
  const host = /^[a-z]+:\/\/([^/:?#]+)/i.exec(uri)?.[1]?.toLowerCase();
  if (host === undefined) return false;
  const fits = (constraint: string): boolean => {
    const name = constraint.toLowerCase();
    return name.startsWith('.') ? host.endsWith(name) : host === name;
  };
  return !excluded.some(fits) && (permitted.length === 0 || permitted.some(fits));
}
