import { fail } from '#ledger/errors.ts';
import { readCertificates } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { trustPath } from './trust-path.ts';
import type { Proof } from './vouching.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import { CLOCK_SKEW_MS } from './limits.ts';

/**
 * X.509-SVIDs: which certificates are some (sections 2 to 4) and which of them are to be trusted
 * (section 5). Rules that a certificate breaks are refused with `x509_svid_invalid`, and `rule` in
 * the error's data names the rule.
 */
export interface X509Svid {
  readonly id: SpiffeId;
  /** The leaf, then its intermediates. */
  readonly chain: readonly Certificate[];
  readonly notBefore_ms: number;
  readonly notAfter_ms: number;
  /** The one that it led to. */
  readonly authority: Certificate;
}

/** The authorities of one trust domain, or nothing: then its SVIDs are not trusted. */
export interface X509Authorities {
  x509AuthoritiesOf(trustDomain: string): readonly Certificate[] | undefined;
  /**
   * Throws where the authority may not vouch for the ID. Who has nothing but a bundle has none of
   * it: there every authority vouches for every ID of its trust domain.
   */
  assertVouched?(proof: Proof): void;
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** The one SPIFFE ID of a certificate (section 2). */
export function idOf(certificate: Certificate): SpiffeId {
  const [uri, ...others] = certificate.uris;
  if (uri === undefined) return refuse('no_uri_san', 'an X.509-SVID has a URI SAN');
  if (others.length > 0) return refuse('several_uri_sans', 'an X.509-SVID has only one URI SAN');
  return parseSpiffeId(uri);
}

/** The rules of leaves (3.1, 4.1, 4.3, 4.4, 5.2). Returns the leaf's ID. */
export function checkLeaf(leaf: Certificate): SpiffeId {
  const { keyUsage, purposes } = leaf;
  if (leaf.isCa) refuse('leaf_is_ca', 'a leaf SVID is no CA certificate');
  checkKeyUsage(leaf);
  if (keyUsage?.has('keyCertSign')) {
    refuse('leaf_signs_certificates', 'a leaf SVID may not have the key usage keyCertSign');
  }
  if (keyUsage?.has('cRLSign')) {
    refuse('leaf_signs_crls', 'a leaf SVID may not have the key usage cRLSign');
  }
  if (!keyUsage?.has('digitalSignature')) {
    refuse('leaf_no_digital_signature', 'a leaf SVID has the key usage digitalSignature');
  }
  if (purposes && !(purposes.includes(SERVER_AUTH) && purposes.includes(CLIENT_AUTH))) {
    refuse('leaf_purposes', 'the extended key usage of a leaf SVID has serverAuth and clientAuth');
  }
  if (leaf.isSubjectEmpty && !leaf.isSanCritical) {
    refuse('san_not_critical', 'without a subject the names of an SVID are critical');
  }
  const id = idOf(leaf);
  return id.path === '' ? refuse('leaf_without_path', 'the SPIFFE ID of a leaf has a path') : id;
}

/** The rules of signing certificates (3.2, 4.1, 4.3). Its ID, when it is an SVID itself. */
export function checkSigner(signer: Certificate): SpiffeId | undefined {
  if (!signer.isCa) refuse('signer_not_ca', 'a signing certificate is a CA certificate');
  checkKeyUsage(signer);
  if (!signer.keyUsage?.has('keyCertSign')) {
    refuse('signer_no_cert_sign', 'a signing certificate has the key usage keyCertSign');
  }
  if (signer.uris.length === 0) return undefined;
  const id = idOf(signer);
  return id.path === '' ? id : refuse('signer_with_path', 'the ID of a signer has no path');
}

function checkKeyUsage({ keyUsage }: Certificate): void {
  if (!keyUsage) refuse('no_key_usage', 'every SVID has a key usage');
  else if (!keyUsage.isCritical) refuse('key_usage_not_critical', 'the key usage is critical');
}

/** Fails with `svid_expired` or `svid_not_yet_valid`; clocks may differ by `CLOCK_SKEW_MS`. */
export function checkTime(certificate: Certificate, now_ms: number): void {
  const { notBefore_ms, notAfter_ms } = certificate;
  if (now_ms > notAfter_ms + CLOCK_SKEW_MS) {
    fail('svid_expired', 'the certificate has expired', { notAfter_ms });
  }
  if (now_ms < notBefore_ms - CLOCK_SKEW_MS) {
    fail('svid_not_yet_valid', 'the certificate is not valid yet', { notBefore_ms });
  }
}

/**
 * The SVID in `chain` (DER certificates one behind the other, the leaf first) if it holds now and
 * leads to an authority of its own trust domain that may vouch for it; else an error. Pure but for
 * `assertVouched`: the caller gives the time.
 */
export function validateX509Svid(
  chain: Uint8Array | readonly Certificate[],
  authorities: X509Authorities,
  now_ms: number,
): X509Svid {
  const certificates = chain instanceof Uint8Array ? readCertificates(chain) : chain;
  const [leaf, ...intermediates] = certificates;
  if (!leaf) return refuse('empty_chain', 'an X.509-SVID has at least one certificate');
  const id = checkLeaf(leaf);
  const anchors = authorities.x509AuthoritiesOf(id.trustDomain) ?? [];
  if (anchors.length === 0) {
    return fail('trust_domain_unknown', 'no X.509 authorities are held for the trust domain', {
      trustDomain: id.trustDomain,
    });
  }
  checkTime(leaf, now_ms);
  for (const signer of intermediates) checkSigner(signer);
  const svidOf = (path: readonly Certificate[]): X509Svid => ({
    id,
    chain: certificates,
    notBefore_ms: Math.max(...path.map(({ notBefore_ms }) => notBefore_ms)),
    notAfter_ms: Math.min(...path.map(({ notAfter_ms }) => notAfter_ms)),
    authority: path.at(-1) as Certificate,
  });
  const accept = (path: readonly Certificate[]) => authorities.assertVouched?.(svidOf(path));
  return svidOf(trustPath(leaf, intermediates, anchors, now_ms, accept));
}

function refuse(rule: string, message: string): never {
  return fail('x509_svid_invalid', message, { rule });
}
