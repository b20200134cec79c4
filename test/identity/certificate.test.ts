import test from 'ava';
import * as fc from 'fast-check';
import { readCertificate } from '#node/identity/certificate.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import {
  NOW_MS, chainOf, craftCa, craftLeaf, nameConstraints, strangeExtension,
} from './craft.ts';
import { refusalIn } from './rules.ts';

/** RFC 5280 where the rules of SVIDs lean on it. */

const root = await craftCa();
const held = { x509AuthoritiesOf: () => [root.certificate] };
const rule = (name: string): string => `certificate_invalid: ${name}`;

test('4.2: a critical extension that is not known refuses the certificate', async (t) => {
  const leaf = await craftLeaf(root, { more: [strangeExtension()] });
  t.is(refusalIn(() => readCertificate(leaf.der)), rule('extension_unknown'));
});

test('4.2: an extension that stands twice refuses the certificate', async (t) => {
  const one = nameConstraints('uniformResourceIdentifier', 'example.org');
  const twice = await craftCa({ more: [one, one] });
  // OpenSSL says so at its own times: either refuses
  t.regex(refusalIn(() => readCertificate(twice.der)), /^certificate_invalid: /);
});

test('4.2.1.10: URI name constraints bind the IDs below', async (t) => {
  const own = nameConstraints('uniformResourceIdentifier', 'example.org');
  const middle = await craftCa({ more: [own] }, root);
  const leaf = await craftLeaf(middle);
  t.is(refusalIn(() => validateX509Svid(chainOf(leaf, middle), held, NOW_MS)), 'taken');
  const foreign = nameConstraints('uniformResourceIdentifier', 'other.org');
  const wrong = await craftCa({ more: [foreign] }, root);
  const outside = await craftLeaf(wrong);
  const chain = chainOf(outside, wrong);
  t.is(refusalIn(() => validateX509Svid(chain, held, NOW_MS)), 'svid_untrusted');
});

test('4.2.1.10: other name constraints are refused, not overlooked', async (t) => {
  const middle = await craftCa({ more: [nameConstraints('dNSName', 'example.org')] }, root);
  t.is(refusalIn(() => readCertificate(middle.der)), rule('name_constraints'));
});

test('a signature with SHA-1 is refused', async (t) => {
  const leaf = await craftLeaf(root, { hash: 'SHA-1' });
  t.is(refusalIn(() => readCertificate(leaf.der)), rule('signature'));
});

test('damaged bytes are refused with a code, never with a crash', async (t) => {
  const { der } = await craftLeaf(root);
  const places = fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(places, ([at, value]) => {
      const damaged = Uint8Array.from(der);
      damaged[at] = value;
      const outcome = refusalIn(() => validateX509Svid(damaged, held, NOW_MS));
      if (der[at] === value) return outcome === 'taken';
      return outcome !== 'taken' && !outcome.startsWith('not coded');
    }),
    { numRuns: 300 },
  );
  t.pass();
});
