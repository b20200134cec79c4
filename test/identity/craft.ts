// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it before itself
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import * as asn1 from '@peculiar/asn1-x509';
import { readCertificate } from '#node/identity/certificate.ts';
import type { Certificate } from '#node/identity/certificate.ts';

/** Certificates with any defect: what the product itself never makes. */
export interface Crafted {
  readonly der: Uint8Array;
  readonly key: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
  readonly subject: string;
  readonly pkcs8: Uint8Array;
  /** Reads it; fails as the product does. */
  readonly certificate: Certificate;
}

export interface Wish {
  readonly uris?: readonly string[];
  readonly names?: readonly x509.JsonGeneralName[];
  readonly isSanCritical?: boolean;
  readonly subject?: string;
  /** `undefined`: no basic constraints at all. */
  readonly ca?: boolean | undefined;
  readonly pathLength?: number;
  /** 0: no key usage extension. */
  readonly usage?: number;
  readonly isUsageCritical?: boolean;
  readonly purposes?: readonly string[];
  readonly from_ms?: number;
  readonly to_ms?: number;
  readonly more?: readonly x509.Extension[];
  readonly hash?: string;
  /** DER of another key than the one that signs. */
  readonly spki?: Uint8Array<ArrayBuffer>;
}

export const NOW_MS = Date.UTC(2030, 0, 1);
const HOUR_MS = 3_600_000;
const { digitalSignature, keyCertSign } = x509.KeyUsageFlags;
const PURPOSES = [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth];
let serial = 1;

/** A CA; self-signed without `parent`. */
export function craftCa(wish: Wish = {}, parent?: Crafted): Promise<Crafted> {
  return craft(
    {
      uris: ['spiffe://example.org'],
      subject: `CN=ca ${serial}`,
      ca: true,
      usage: keyCertSign,
      purposes: [],
      ...wish,
    },
    parent,
  );
}

/** A leaf that is right but for the wish. */
export function craftLeaf(parent: Crafted, wish: Wish = {}): Promise<Crafted> {
  return craft({ uris: ['spiffe://example.org/db'], ...wish }, parent);
}

async function craft(wish: Wish, parent: Crafted | undefined): Promise<Crafted> {
  const keys = await webcrypto.subtle.generateKey(
    { name: 'ECDSA', namedCurve: 'P-256' },
    true,
    ['sign', 'verify'],
  );
  const { uris = [], names = [], subject = 'O=crafted', usage = digitalSignature } = wish;
  const san = [...uris.map((value) => ({ type: 'url', value }) as const), ...names];
  const ca = 'ca' in wish ? wish.ca : false;
  const { purposes = PURPOSES } = wish;
  const made = await x509.X509CertificateGenerator.create(
    {
      serialNumber: (serial++).toString(16).padStart(4, '0').replace(/^/, '10'),
      subject,
      issuer: parent?.subject ?? subject,
      notBefore: new Date(wish.from_ms ?? NOW_MS - HOUR_MS),
      notAfter: new Date(wish.to_ms ?? NOW_MS + HOUR_MS),
      publicKey: wish.spki ? new x509.PublicKey(wish.spki) : keys.publicKey,
      signingKey: parent?.key ?? keys.privateKey,
      signingAlgorithm: { name: 'ECDSA', hash: wish.hash ?? 'SHA-256' } as EcdsaParams,
      extensions: [
        ...(ca === undefined
          ? []
          : [new x509.BasicConstraintsExtension(ca, wish.pathLength, true)]),
        ...(usage === 0 ? [] : [new x509.KeyUsagesExtension(usage, wish.isUsageCritical ?? true)]),
        ...(san.length === 0
          ? []
          : [new x509.SubjectAlternativeNameExtension(san, wish.isSanCritical ?? false)]),
        ...(purposes.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension([...purposes])]),
        ...(wish.more ?? []),
      ],
    },
    webcrypto,
  );
  const der = new Uint8Array(made.rawData);
  return {
    der,
    key: keys.privateKey,
    publicKey: keys.publicKey,
    subject: made.subject,
    pkcs8: new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)),
    get certificate() {
      return readCertificate(der);
    },
  };
}

type EcdsaParams = Algorithm & { readonly hash: string };
interface Algorithm {
  readonly name: string;
}

export function nameConstraints(
  kind: 'uniformResourceIdentifier' | 'dNSName',
  permitted: string,
): x509.Extension {
  const base = new asn1.GeneralName({ [kind]: permitted });
  const value = new asn1.NameConstraints({
    permittedSubtrees: new asn1.GeneralSubtrees([new asn1.GeneralSubtree({ base })]),
  });
  return new x509.Extension(asn1.id_ce_nameConstraints, true, AsnConvert.serialize(value));
}

/** A critical extension that nobody knows. */
export function strangeExtension(): x509.Extension {
  return new x509.Extension('1.3.6.1.4.1.55555.1', true, AsnConvert.serialize(new OctetString(1)));
}

export const usages = x509.KeyUsageFlags;

export function chainOf(...crafted: readonly Crafted[]): Uint8Array {
  return Buffer.concat(crafted.map(({ der }) => der));
}
