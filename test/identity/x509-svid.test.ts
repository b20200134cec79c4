import test from 'ava';
import { readCertificates } from '#node/identity/certificate.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import { checkSigner, validateX509Svid } from '#node/identity/x509-svid.ts';
import { NOW_MS, chainOf, craftCa, craftLeaf, usages } from './craft.ts';
import type { Crafted, Wish } from './craft.ts';
import { refusalIn } from './rules.ts';

/** X509-SVID; one test for each rule. Every leaf but for its wish is right. */

const DAY_MS = 24 * 3_600_000;
const root = await craftCa();

function holding(...authorities: readonly Crafted[]): {
  x509AuthoritiesOf(trustDomain: string): readonly Certificate[] | undefined;
} {
  const held = authorities.map(({ certificate }) => certificate);
  return { x509AuthoritiesOf: (name) => (name === 'example.org' ? held : undefined) };
}

function validated(chain: Uint8Array, now_ms = NOW_MS, authorities = holding(root)): string {
  return refusalIn(() => validateX509Svid(chain, authorities, now_ms));
}

async function leafWith(wish: Wish): Promise<string> {
  return validated(chainOf(await craftLeaf(root, wish)));
}

const rule = (name: string): string => `x509_svid_invalid: ${name}`;

test('a right leaf is taken, with its ID', async (t) => {
  const leaf = await craftLeaf(root);
  const svid = validateX509Svid(leaf.der, holding(root), NOW_MS);
  t.is(svid.id.uri, 'spiffe://example.org/db');
});

test('2: an SVID has exactly one URI SAN', async (t) => {
  t.is(await leafWith({ uris: [] }), rule('no_uri_san'));
  const two = ['spiffe://example.org/db', 'spiffe://example.org/web'];
  t.is(await leafWith({ uris: two }), rule('several_uri_sans'));
  const other = ['spiffe://example.org/db', 'https://example.org'];
  t.is(await leafWith({ uris: other }), rule('several_uri_sans'));
});

test('2: other names may stand beside it', async (t) => {
  const names = [
    { type: 'dns', value: 'db.example.org' },
    { type: 'ip', value: '10.0.0.1' },
    { type: 'email', value: 'db@example.org' },
  ] as const;
  t.is(await leafWith({ names }), 'taken');
});

test('3.1: the ID of a leaf has a path', async (t) => {
  t.is(await leafWith({ uris: ['spiffe://example.org'] }), rule('leaf_without_path'));
});

test('3.1: without a subject the names are critical', async (t) => {
  t.is(await leafWith({ subject: '' }), rule('san_not_critical'));
  t.is(await leafWith({ subject: '', isSanCritical: true }), 'taken');
});

test('3.2: the ID of a signing certificate has no path', async (t) => {
  const withPath = await craftCa({ uris: ['spiffe://example.org/ca'] });
  t.is(refusalIn(() => checkSigner(withPath.certificate)), rule('signer_with_path'));
  const middle = await craftCa({ uris: ['spiffe://example.org/ca'] }, root);
  const leaf = await craftLeaf(middle);
  t.is(validated(chainOf(leaf, middle)), rule('signer_with_path'));
});

test('3.2: a signing certificate without a SPIFFE ID is taken', async (t) => {
  const middle = await craftCa({ uris: [] }, root);
  t.is(validated(chainOf(await craftLeaf(middle), middle)), 'taken');
});

test('3.2: a signing certificate authenticates nobody', async (t) => {
  t.is(validated(root.der), rule('leaf_is_ca'));
  const asLeaf = await craftCa({ uris: ['spiffe://example.org/db'] }, root);
  t.is(validated(chainOf(asLeaf)), rule('leaf_is_ca'));
});

test('4.1: signing certificates have cA true', async (t) => {
  const noCa = await craftCa({ ca: false }, root);
  t.is(validated(chainOf(await craftLeaf(noCa), noCa)), rule('signer_not_ca'));
  const none = await craftCa({ ca: undefined }, root);
  t.is(validated(chainOf(await craftLeaf(none), none)), rule('signer_not_ca'));
});

test('4.1: leaves have cA false', async (t) => {
  t.is(await leafWith({ ca: true }), rule('leaf_is_ca'));
  t.is(await leafWith({ ca: undefined }), 'taken');
});

test('4.3: the key usage is set on all SVIDs and critical', async (t) => {
  t.is(await leafWith({ usage: 0 }), rule('no_key_usage'));
  t.is(await leafWith({ isUsageCritical: false }), rule('key_usage_not_critical'));
  const middle = await craftCa({ isUsageCritical: false }, root);
  const leaf = await craftLeaf(middle);
  t.is(validated(chainOf(leaf, middle)), rule('key_usage_not_critical'));
});

test('4.3: signing certificates have keyCertSign', async (t) => {
  const middle = await craftCa({ usage: usages.cRLSign }, root);
  t.is(validated(chainOf(await craftLeaf(middle), middle)), rule('signer_no_cert_sign'));
  const both = await craftCa({ usage: usages.cRLSign | usages.keyCertSign }, root);
  t.is(validated(chainOf(await craftLeaf(both), both)), 'taken');
});

test('4.3: leaves have digitalSignature', async (t) => {
  const { keyAgreement, digitalSignature, keyEncipherment } = usages;
  t.is(await leafWith({ usage: keyAgreement }), rule('leaf_no_digital_signature'));
  const more = digitalSignature | keyEncipherment | keyAgreement;
  t.is(await leafWith({ usage: more }), 'taken');
});

test('4.3: leaves have neither keyCertSign nor cRLSign', async (t) => {
  const { digitalSignature, keyCertSign, cRLSign } = usages;
  const certificates = rule('leaf_signs_certificates');
  t.is(await leafWith({ usage: digitalSignature | keyCertSign }), certificates);
  t.is(await leafWith({ usage: digitalSignature | cRLSign }), rule('leaf_signs_crls'));
});

test('4.4: an extended key usage of a leaf has serverAuth and clientAuth', async (t) => {
  t.is(await leafWith({ purposes: [] }), 'taken');
  const server = '1.3.6.1.5.5.7.3.1';
  t.is(await leafWith({ purposes: [server] }), rule('leaf_purposes'));
  t.is(await leafWith({ purposes: ['1.3.6.1.5.5.7.3.2'] }), rule('leaf_purposes'));
});

test('5.1: the signature leads to an authority of the trust domain', async (t) => {
  const stranger = await craftCa();
  t.is(validated(chainOf(await craftLeaf(stranger))), 'svid_untrusted');
  t.is(validated(chainOf(await craftLeaf(stranger), stranger)), 'svid_untrusted');
  // the same name, another key
  const namesake = await craftCa({ subject: root.subject });
  t.is(validated(chainOf(await craftLeaf(namesake), namesake)), 'svid_untrusted');
});

test('5.1: a certificate that was tampered with is refused', async (t) => {
  const { der } = await craftLeaf(root);
  const changed = Uint8Array.from(der);
  const at = Buffer.from(der).indexOf('example.org/db') + 'example.org/'.length;
  changed[at] = 'x'.charCodeAt(0);
  t.is(validated(changed), 'svid_untrusted');
});

test('5.1: expired and not yet valid certificates are refused, but for the skew', async (t) => {
  const wish = { from_ms: NOW_MS, to_ms: NOW_MS + DAY_MS };
  const longRoot = await craftCa({ from_ms: NOW_MS - DAY_MS, to_ms: NOW_MS + 9 * DAY_MS });
  const { der } = await craftLeaf(longRoot, wish);
  const at = (now_ms: number): string => validated(der, now_ms, holding(longRoot));
  t.is(at(NOW_MS - 59_000), 'taken');
  t.is(at(NOW_MS - 61_000), 'svid_not_yet_valid');
  t.is(at(NOW_MS + DAY_MS + 59_000), 'taken');
  t.is(at(NOW_MS + DAY_MS + 61_000), 'svid_expired');
});

test('5.1: signers and authorities are to be valid, too', async (t) => {
  const old = await craftCa({ to_ms: NOW_MS - DAY_MS, from_ms: NOW_MS - 2 * DAY_MS }, root);
  t.is(validated(chainOf(await craftLeaf(old), old)), 'svid_untrusted');
  const oldRoot = await craftCa({ to_ms: NOW_MS - DAY_MS, from_ms: NOW_MS - 2 * DAY_MS });
  const leaf = await craftLeaf(oldRoot);
  t.is(validated(leaf.der, NOW_MS, holding(oldRoot)), 'svid_untrusted');
});

test('5.1: the length of the path is bounded by the signers', async (t) => {
  const short = await craftCa({ pathLength: 0 });
  const middle = await craftCa({}, short);
  const leaf = await craftLeaf(middle);
  t.is(validated(chainOf(leaf, middle), NOW_MS, holding(short)), 'svid_untrusted');
  t.is(validated((await craftLeaf(short)).der, NOW_MS, holding(short)), 'taken');
});

test('5.1: a leaf cannot sign', async (t) => {
  const leaf = await craftLeaf(root);
  const below = await craftLeaf(leaf, { uris: ['spiffe://example.org/admin'] });
  t.is(validated(chainOf(below, leaf)), rule('signer_not_ca'));
});

test('5.2: the scheme of the ID is spiffe', async (t) => {
  t.is(await leafWith({ uris: ['https://example.org/db'] }), 'spiffe_id_invalid: scheme');
  const dots = ['spiffe://example.org/a/../admin'];
  t.is(await leafWith({ uris: dots }), 'spiffe_id_invalid: dot_segment');
});

test('5.2: the authorities are those of the trust domain, by its whole name', async (t) => {
  for (const name of ['example.org.evil', 'evil.example.org', 'example.or', 'example.orgx']) {
    t.is(await leafWith({ uris: [`spiffe://${name}/db`] }), 'trust_domain_unknown', name);
  }
});

test('an empty bundle trusts nothing', async (t) => {
  const leaf = await craftLeaf(root);
  t.is(validated(leaf.der, NOW_MS, holding()), 'trust_domain_unknown');
});

test('an empty chain, cut and doubled certificates are refused', async (t) => {
  const { der } = await craftLeaf(root);
  t.is(validated(new Uint8Array()), rule('empty_chain'));
  t.is(validated(der.subarray(0, der.length - 1)), 'certificate_invalid: der');
  t.is(validated(Buffer.concat([der, Buffer.from([0])])), 'certificate_invalid: der');
  t.is(validated(Buffer.alloc(20_000, 0x30)), 'certificate_invalid: der');
  const many = Buffer.concat(Array.from({ length: 65 }, () => der));
  t.is(refusalIn(() => readCertificates(many)), 'certificate_invalid: count');
});
