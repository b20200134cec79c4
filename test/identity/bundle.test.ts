import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import {
  newerBundle,
  parseBundle,
  parseJwtBundle,
  serialiseBundle,
  serialiseJwtBundle,
} from '#node/identity/bundle.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { NOW_MS, craftCa, craftLeaf } from './craft.ts';
import { refusalIn } from './rules.ts';

/** Trust Domain and Bundle, section 4, and the parts of X509-SVID and JWT-SVID on bundles. */

const root = await craftCa();
const other = await craftCa();
const x5c = (crafted: typeof root): string => crafted.certificate.der.toBase64();
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });

const X509 = { kty: 'EC', use: 'x509-svid', crv: 'P-256', x: 'AA', y: 'AA', x5c: [x5c(root)] };
const JWT = { ...ec, use: 'jwt-svid', kid: 'k1' };

const read = (document: object) => parseBundle('example.org', JSON.stringify(document));
const counts = (...keys: object[]) => {
  const { x509, jwt } = read({ keys });
  return [x509.length, jwt.length];
};
const refused = (text: string): string => refusalIn(() => parseBundle('example.org', text));
const rule = (name: string): string => `bundle_invalid: ${name}`;

test('4.1: parameters that are not defined are neither needed nor in the way', (t) => {
  t.is(read({ keys: [] }).sequence, undefined);
  t.is(read({ keys: [], extra: { deep: true } }).x509.length, 0);
});

test('4.1.1: the sequence is an integer of 64 bits and more', (t) => {
  const text = '{"keys":[],"spiffe_sequence":18446744073709551615}';
  t.is(parseBundle('example.org', text).sequence, 18_446_744_073_709_551_615n);
  for (const value of ['1.5', '"1"', '-1', 'null']) {
    t.is(refused(`{"keys":[],"spiffe_sequence":${value}}`), rule('sequence'), value);
  }
});

test('4.1.1: the bundle with the higher sequence counts', (t) => {
  const first = read({ keys: [], spiffe_sequence: 1 });
  const second = read({ keys: [], spiffe_sequence: 2 });
  t.is(newerBundle(first, second), second);
  t.is(newerBundle(second, first), second);
  t.is(newerBundle(undefined, first), first);
  const bare = read({ keys: [] });
  t.is(newerBundle(second, bare), bare);
});

test('4.1.2: the refresh hint is an integer of seconds', (t) => {
  t.is(read({ keys: [], spiffe_refresh_hint: 300 }).refreshHint_s, 300);
  for (const value of ['1.5', '"1"', '-1']) {
    t.is(refused(`{"keys":[],"spiffe_refresh_hint":${value}}`), rule('refresh_hint'), value);
  }
});

test('4.1.3: keys are there, an array', (t) => {
  t.is(refused('{}'), rule('keys'));
  t.is(refused('{"keys":{}}'), rule('keys'));
  t.is(refused('[]'), rule('json'));
  t.is(refused('{"keys":['), rule('json'));
});

test('4.1.3: an empty bundle is valid, and nothing of its domain is trusted', async (t) => {
  const { x509 } = read({ keys: [] });
  const leaf = await craftLeaf(root);
  const held = { x509AuthoritiesOf: () => x509 };
  t.is(refusalIn(() => validateX509Svid(leaf.der, held, NOW_MS)), 'trust_domain_unknown');
});

test('4.2.1: an element without or of an unknown key type is ignored', (t) => {
  t.deepEqual(counts({ ...JWT, kty: undefined }), [0, 0]);
  t.deepEqual(counts({ ...JWT, kty: 'oct', k: 'AA' }, JWT), [0, 1]);
  t.deepEqual(counts({ ...X509, kty: 'toString' }, X509), [1, 0]);
});

test('4.2.2: an element without or of an unknown use is ignored; uses are case-sensitive', (t) => {
  t.deepEqual(counts({ ...JWT, use: undefined }, { ...X509, use: undefined }), [0, 0]);
  t.deepEqual(counts({ ...JWT, use: 'JWT-SVID' }, { ...X509, use: 'sig' }, JWT), [0, 1]);
});

test('X509-SVID 6.1: an entry has use, exactly one certificate in x5c, and no kid', (t) => {
  const bundle = read({ keys: [X509] });
  const [entry] = (JSON.parse(serialiseBundle(bundle)) as { keys: [Record<string, unknown>] }).keys;
  t.is(entry['use'], 'x509-svid');
  t.deepEqual(entry['x5c'], [x5c(root)]);
  t.false('kid' in entry);
  t.is(entry['kty'], 'EC');
  t.true('x' in entry && 'y' in entry && 'crv' in entry);
});

test('X509-SVID 6.2: without x5c an entry is ignored, of several values the first counts', (t) => {
  t.deepEqual(counts({ ...X509, x5c: undefined }, { ...X509, x5c: [] }), [0, 0]);
  const { x509 } = read({ keys: [{ ...X509, x5c: [x5c(root), x5c(other)] }] });
  t.deepEqual(x509.map(({ der }) => der.toBase64()), [x5c(root)]);
});

test('X509-SVID 6.2: an entry that holds no CA certificate is ignored', async (t) => {
  const leaf = await craftLeaf(root);
  t.deepEqual(counts({ ...X509, x5c: [x5c(leaf)] }, { ...X509, x5c: ['!!'] }), [0, 0]);
});

test('JWT-SVID 6.1: an entry has use and kid', (t) => {
  const { jwt } = read({ keys: [JWT] });
  const [entry] = (JSON.parse(serialiseJwtBundle(jwt)) as { keys: [Record<string, unknown>] }).keys;
  t.is(entry['use'], 'jwt-svid');
  t.is(entry['kid'], 'k1');
  t.deepEqual(counts({ ...JWT, kid: undefined }, { ...JWT, kid: '' }), [0, 0]);
});

test('JWT-SVID 6.2: JWT keys are told from others by their use', (t) => {
  t.deepEqual(counts(X509, JWT), [1, 1]);
});

test('Workload API 6.2.2: a JWT bundle holds JWT keys only', (t) => {
  const { jwt } = read({ keys: [X509, JWT] });
  const text = serialiseJwtBundle(jwt);
  t.false(text.includes('x5c'));
  t.is(parseJwtBundle(text).length, 1);
  const mixed = JSON.stringify({ keys: [X509, JWT, { ...JWT, kid: 'k2', use: undefined }] });
  t.deepEqual(parseJwtBundle(mixed).map(({ kid }) => kid), ['k1', 'k2']);
});

test('Federation 4.2: bundles of different trust domains are not merged', (t) => {
  const foreign = parseBundle('other.org', '{"keys":[]}');
  t.is(refusalIn(() => newerBundle(read({ keys: [] }), foreign)), 'bundle_other_domain');
});

test('private members of a key are neither kept nor passed on', (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaked = { ...privateKey.export({ format: 'jwk' }), use: 'jwt-svid', kid: 'leaked' };
  const { jwt } = read({ keys: [leaked] });
  t.is(jwt.length, 1);
  t.false(serialiseJwtBundle(jwt).includes(leaked.d ?? 'none'));
});

test('a bundle goes through its document unchanged', (t) => {
  const text = serialiseBundle(read({ keys: [X509, JWT], spiffe_sequence: 7 }));
  t.is(serialiseBundle(parseBundle('example.org', text)), text);
});

test('a bundle that is too large is refused', (t) => {
  t.is(refused(' '.repeat(1024 * 1024 + 1)), rule('size'));
  const many = { keys: Array.from({ length: 257 }, () => JWT) };
  t.is(refused(JSON.stringify(many)), rule('count'));
});
