// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it before itself
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { Entropy } from '#ledger/ports.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';

/**
 * Makes the certificates of a trust domain with `@peculiar/x509`: roots, intermediates and leaves,
 * all with ECDSA on P-256. Private keys of signers cannot be taken out of their `CryptoKey`.
 */
const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
/** RFC 5280, 4.1.2.2: positive, at most 20 bytes; 127 random bits here. */
const SERIAL_BYTES = 16;
/** Clocks of those who check may be behind. */
export const BACKDATED_MS = 30_000;
const ORGANISATION = 'x0tta6bl4';

/** A CA certificate with its private key. */
export interface Signer {
  readonly certificate: Certificate;
  readonly privateKey: webcrypto.CryptoKey;
}

/** A leaf's certificate with its private key, as a workload gets them. */
export interface IssuedLeaf {
  readonly certificate: Certificate;
  /** PKCS #8, DER. Secret. */
  readonly key: Uint8Array;
}

export interface Times {
  readonly now_ms: number;
  readonly ttl_s: number;
}

interface Naming {
  readonly uri: string;
  readonly subject: string;
}

/** A self-signed root of a trust domain; it carries the domain's SPIFFE ID (X509-SVID, 3.2). */
export async function makeRoot(
  trustDomain: SpiffeId,
  times: Times,
  entropy: Entropy,
): Promise<Signer> {
  const keys = await makeKeys(false);
  const naming = { uri: trustDomain.uri, subject: await subjectOf('root', keys.publicKey) };
  return sign(keys, naming, keys.privateKey, undefined, 1, times, entropy);
}

/** A CA for leaves only, signed by `parent`; it ends no later than `parent` does. */
export async function makeIntermediate(
  trustDomain: SpiffeId,
  parent: Signer,
  times: Times,
  entropy: Entropy,
): Promise<Signer> {
  const keys = await makeKeys(false);
  const naming = { uri: trustDomain.uri, subject: await subjectOf('node', keys.publicKey) };
  return sign(keys, naming, parent.privateKey, parent.certificate, 0, times, entropy);
}

/** A workload's X.509-SVID; it ends no later than `parent` does. */
export async function makeLeaf(
  id: SpiffeId,
  parent: Signer,
  times: Times,
  entropy: Entropy,
): Promise<IssuedLeaf> {
  const keys = await makeKeys(true);
  const naming = { uri: id.uri, subject: `O=${ORGANISATION}` };
  const { certificate } = await sign(
    keys,
    naming,
    parent.privateKey,
    parent.certificate,
    undefined,
    times,
    entropy,
  );
  const key = new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { certificate, key };
}

/** `pathLength`: of a CA; `undefined` makes a leaf. */
async function sign(
  keys: webcrypto.CryptoKeyPair,
  { uri, subject }: Naming,
  signingKey: webcrypto.CryptoKey,
  parent: Certificate | undefined,
  pathLength: number | undefined,
  { now_ms, ttl_s }: Times,
  entropy: Entropy,
): Promise<Signer> {
  const isCa = pathLength !== undefined;
  const notAfter_ms = Math.min(now_ms + ttl_s * 1000, parent?.notAfter_ms ?? Infinity);
  const issuer = parent && new x509.X509Certificate(parent.der);
  const extensions = [
    new x509.BasicConstraintsExtension(isCa, pathLength, true),
    new x509.KeyUsagesExtension(
      isCa
        ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
        : x509.KeyUsageFlags.digitalSignature,
      true,
    ),
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uri }], false),
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
    await x509.AuthorityKeyIdentifierExtension.create(
      issuer?.publicKey ?? keys.publicKey,
      false,
      webcrypto,
    ),
    ...(isCa
      ? []
      : [
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.serverAuth,
            x509.ExtendedKeyUsage.clientAuth,
          ]),
        ]),
  ];
  const made = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial(entropy),
      subject,
      issuer: issuer?.subject ?? subject,
      notBefore: new Date(now_ms - BACKDATED_MS),
      notAfter: new Date(notAfter_ms),
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: SIGNATURE,
      extensions,
    },
    webcrypto,
  );
  const certificate = readCertificate(new Uint8Array(made.rawData));
  return { certificate, privateKey: keys.privateKey };
}

async function makeKeys(extractable: boolean): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY, extractable, ['sign', 'verify']);
}

/** Each key has a subject of its own, so that paths are found by names (RFC 5280, 4.1.2.4). */
async function subjectOf(role: string, key: webcrypto.CryptoKey): Promise<string> {
  const spki = await webcrypto.subtle.exportKey('spki', key);
  const digest = new Uint8Array(await webcrypto.subtle.digest('SHA-256', spki));
  return `O=${ORGANISATION}, CN=${role} ${digest.subarray(0, 8).toHex()}`;
}

function serial(entropy: Entropy): string {
  const bytes = Uint8Array.from(entropy.bytes(SERIAL_BYTES));
  // positive and without leading zeros, thus canonical DER
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return bytes.toHex();
}
