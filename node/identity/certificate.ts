import { X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import * as asn1 from '@peculiar/asn1-x509';
import { X0tError, fail } from '#ledger/errors.ts';
import { AUTHORITIES_MAX } from '#projections/identity.ts';

/** Bytes of one certificate: an SVID with a few names has about 600. */
export const CERTIFICATE_BYTES_MAX = 16 * 1024;
/** Certificates one behind the other: the authorities of a bundle; a chain has far fewer. */
const CERTIFICATES_MAX = AUTHORITIES_MAX;

export type KeyUse = 'digitalSignature' | 'keyCertSign' | 'cRLSign';

/** Which URIs may follow below a signing certificate (RFC 5280, 4.2.1.10). */
export interface UriConstraints {
  readonly permitted: readonly string[];
  readonly excluded: readonly string[];
}

/**
 * What the rules of X.509-SVIDs ask of a certificate. Its form is read by `@peculiar/asn1-x509`,
 * its signature checked by OpenSSL.
 */
export interface Certificate {
  readonly der: Uint8Array;
  readonly openssl: X509Certificate;
  readonly publicKey: KeyObject;
  readonly notBefore_ms: number;
  readonly notAfter_ms: number;
  readonly uris: readonly string[];
  readonly isSubjectEmpty: boolean;
  readonly isSanCritical: boolean;
  readonly isSelfIssued: boolean;
  readonly isCa: boolean;
  /** Intermediates that may stand below it. */
  readonly pathLength: number | undefined;
  readonly keyUsage: { readonly isCritical: boolean; has(use: KeyUse): boolean } | undefined;
  /** Object identifiers of the extended key usage, when there is that extension. */
  readonly purposes: readonly string[] | undefined;
  readonly uriConstraints: UriConstraints | undefined;
}

/** Extensions that the validation acts on: any other that is critical refuses the certificate. */
const KNOWN = new Set([
  asn1.id_ce_basicConstraints,
  asn1.id_ce_keyUsage,
  asn1.id_ce_extKeyUsage,
  asn1.id_ce_subjectAltName,
  asn1.id_ce_nameConstraints,
  asn1.id_ce_subjectKeyIdentifier,
  asn1.id_ce_authorityKeyIdentifier,
]);

/**
 * SHA-256 and above with RSA (PKCS #1) or ECDSA, and EdDSA. Not RSA-PSS, whose hash may be SHA-1 by
 * its parameters.
 */
const SIGNATURES = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
  '1.3.101.113',
]);
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const RSA_BITS_MIN = 2048;

/** One certificate and nothing behind it. Fails with `certificate_invalid`. */
export function readCertificate(der: Uint8Array): Certificate {
  if (der.length > CERTIFICATE_BYTES_MAX) return refuse('size', 'a certificate is too large');
  if (derLength(der, 0) !== der.length) return refuse('der', 'a certificate is no whole DER value');
  try {
    return read(der);
  } catch (error) {
    if (error instanceof X0tError) throw error;
    return refuse('der', 'a certificate cannot be read');
  }
}

/** Certificates that stand one behind the other. Fails with `certificate_invalid`. */
export function readCertificates(ders: Uint8Array): Certificate[] {
  const found: Certificate[] = [];
  for (let at = 0; at < ders.length; ) {
    if (found.length >= CERTIFICATES_MAX) return refuse('count', 'too many certificates');
    const end = derLength(ders, at);
    found.push(readCertificate(ders.subarray(at, end)));
    at = end;
  }
  return found;
}

/** Where the DER SEQUENCE at `at` ends; X.690, 8.1.3. */
function derLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1];
  if (bytes[at] !== 0x30 || first === undefined) return refuse('der', 'no DER sequence');
  const size = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || size > 3) return refuse('der', 'a DER length is not definite or too large');
  let length = size === 0 ? first : 0;
  for (const byte of bytes.subarray(at + 2, at + 2 + size)) length = length * 256 + byte;
  const end = at + 2 + size + length;
  return end <= bytes.length ? end : refuse('der', 'a DER value is cut off');
}

function read(bytes: Uint8Array): Certificate {
  const der = Uint8Array.from(bytes);
  const openssl = new X509Certificate(der);
  const { tbsCertificate: tbs, signatureAlgorithm } = AsnConvert.parse(der, asn1.Certificate);
  checkAlgorithms(signatureAlgorithm.algorithm, openssl);
  const extensions = new Map<string, asn1.Extension>();
  for (const extension of tbs.extensions ?? []) {
    // RFC 5280, 4.2: never two of one kind
    if (extensions.has(extension.extnID)) refuse('extension_twice', 'an extension stands twice');
    if (extension.critical && !KNOWN.has(extension.extnID)) {
      refuse('extension_unknown', `critical extension ${extension.extnID} is not known here`);
    }
    extensions.set(extension.extnID, extension);
  }
  const value = <T>(id: string, type: new () => T): T | undefined => {
    const extension = extensions.get(id);
    return extension && AsnConvert.parse(extension.extnValue.buffer, type);
  };
  const basic = value(asn1.id_ce_basicConstraints, asn1.BasicConstraints);
  const usage = value(asn1.id_ce_keyUsage, asn1.KeyUsage)?.toNumber();
  const purposes = value(asn1.id_ce_extKeyUsage, asn1.ExtendedKeyUsage);
  const names = value(asn1.id_ce_subjectAltName, asn1.SubjectAlternativeName) ?? [];
  const constraints = value(asn1.id_ce_nameConstraints, asn1.NameConstraints);
  return {
    der,
    openssl,
    publicKey: openssl.publicKey,
    notBefore_ms: openssl.validFromDate.getTime(),
    notAfter_ms: openssl.validToDate.getTime(),
    uris: [...names].flatMap(({ uniformResourceIdentifier: uri }) => uri ?? []),
    isSubjectEmpty: tbs.subject.length === 0,
    isSanCritical: extensions.get(asn1.id_ce_subjectAltName)?.critical === true,
    isSelfIssued: openssl.subject === openssl.issuer,
    isCa: basic?.cA === true,
    pathLength: basic?.pathLenConstraint,
    keyUsage: usage === undefined ? undefined : {
      isCritical: extensions.get(asn1.id_ce_keyUsage)?.critical === true,
      has: (use) => (usage & asn1.KeyUsageFlags[use]) !== 0,
    },
    purposes: purposes && [...purposes],
    uriConstraints: constraints && {
      permitted: urisOf(constraints.permittedSubtrees),
      excluded: urisOf(constraints.excludedSubtrees),
    },
  };
}

function checkAlgorithms(oid: string, openssl: X509Certificate): void {
  if (!SIGNATURES.has(oid)) refuse('signature', `signature algorithm ${oid} is not allowed`);
  const key = openssl.publicKey;
  const details = key.asymmetricKeyDetails ?? {};
  const isAllowed =
    key.asymmetricKeyType === 'ed25519' ||
    key.asymmetricKeyType === 'ed448' ||
    (key.asymmetricKeyType === 'ec' && CURVES.has(details.namedCurve ?? '')) ||
    ((key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss') &&
      (details.modulusLength ?? 0) >= RSA_BITS_MIN);
  if (!isAllowed) refuse('key', 'the public key is weak or of a kind that is not allowed');
}

/** Constraints on other names are not evaluated here: a certificate that has some is refused. */
function urisOf(subtrees: asn1.GeneralSubtrees | undefined): string[] {
  return [...(subtrees ?? [])].map(({ base, minimum, maximum }) => {
    const uri = base.uniformResourceIdentifier;
    if (uri === undefined || minimum !== 0 || maximum !== undefined) {
      return refuse('name_constraints', 'name constraints other than on URIs are not supported');
    }
    return uri;
  });
}

function refuse(rule: string, message: string): never {
  return fail('certificate_invalid', message, { rule });
}
