import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import test from 'ava';
import { CompactSign, SignJWT } from 'jose';
import type { JWTPayload } from 'jose';
import { validateJwtSvid } from '#node/identity/jwt-svid.ts';
import type { JwtAuthority } from '#node/identity/jwt-svid.ts';
import { NOW_MS } from './craft.ts';
import { refusalOf } from './rules.ts';

/** JWT-SVID; one test for each rule. Every token but for its wish is right. */

const NOW_S = NOW_MS / 1000;

interface Signing {
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly authority: JwtAuthority;
}

function makeKey(alg: string, kid: string): Signing {
  const { privateKey, publicKey } = alg.startsWith('ES')
    ? generateKeyPairSync('ec', {
        namedCurve: { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg] ?? '',
      })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { alg, privateKey, authority: { kid, jwk: publicKey.export({ format: 'jwk' }) } };
}

const own = makeKey('ES256', 'own');
const rsa = makeKey('RS256', 'rsa');
const held = [own.authority, rsa.authority];
const authorities = {
  jwtAuthoritiesOf: (name: string) => (name === 'example.org' ? held : undefined),
};

const CLAIMS: JWTPayload = { sub: 'spiffe://example.org/db', aud: ['reports'], exp: NOW_S + 300 };

function tokenWith(
  claims: JWTPayload = {},
  header: Record<string, unknown> = {},
  key: Signing = own,
): Promise<string> {
  const kept = Object.entries({ ...CLAIMS, ...claims }).filter(([, value]) => value !== undefined);
  return new SignJWT(Object.fromEntries(kept))
    .setProtectedHeader({ alg: key.alg, kid: key.authority.kid, ...header })
    .sign(key.privateKey);
}

async function refused(token: string, audience = ['reports'], now_ms = NOW_MS): Promise<string> {
  return refusalOf(validateJwtSvid(token, audience, authorities, now_ms));
}

const rule = (name: string): string => `jwt_svid_invalid: ${name}`;
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

test('a right token is taken, with its subject and claims', async (t) => {
  const token = await tokenWith({ role: 'reader' });
  const svid = await validateJwtSvid(token, ['reports'], authorities, NOW_MS);
  t.is(svid.id.uri, 'spiffe://example.org/db');
  t.is(svid.expiry_ms, NOW_MS + 300_000);
  t.is(svid.claims['role'], 'reader');
});

test('1, 5.1: only the compact serialization is taken', async (t) => {
  const token = await tokenWith();
  const [head = '', payload = '', signature = ''] = token.split('.');
  const json = JSON.stringify({ payload, protected: head, signature });
  t.is(await refused(json), rule('serialization'));
  t.is(await refused(`${head}.${payload}`), rule('serialization'));
  t.is(await refused(`${token}.${signature}.${signature}`), rule('serialization'));
  t.is(await refused(''), rule('serialization'));
  t.is(await refused('a.b.c'), rule('malformed'));
});

test('2: headers other than alg, kid and typ are refused', async (t) => {
  const more: Record<string, unknown>[] = [
    { jku: 'https://evil.example/keys' },
    { jwk: own.authority.jwk },
    { x5c: ['AA=='] },
    { x5u: 'https://evil.example' },
    { cty: 'JWT' },
    { private: 1 },
  ];
  for (const header of more) t.is(await refused(await tokenWith({}, header)), rule('header'));
  const critical = `${encode({ alg: 'ES256', crit: ['b64'], b64: false })}.e30.AA`;
  t.is(await refused(critical), rule('header'));
});

test('2.1: the algorithms of the table are taken', async (t) => {
  const algorithms = [
    'RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512',
  ];
  for (const alg of algorithms) {
    const key = makeKey(alg, alg);
    const only = { jwtAuthoritiesOf: () => [key.authority] };
    const token = await tokenWith({}, {}, key);
    t.is(await refusalOf(validateJwtSvid(token, ['reports'], only, NOW_MS)), 'taken', alg);
  }
});

test('2.1: none, HMAC and any other algorithm are refused', async (t) => {
  const unsigned = `${encode({ alg: 'none' })}.${encode(CLAIMS)}.`;
  t.is(await refused(unsigned), rule('algorithm'));
  const secret = Buffer.from(JSON.stringify(own.authority.jwk));
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    const token = await new SignJWT(CLAIMS)
      .setProtectedHeader({ alg, kid: 'own' })
      .sign(Buffer.concat([secret, Buffer.alloc(64)]));
    t.is(await refused(token), rule('algorithm'), alg);
  }
  for (const alg of ['EdDSA', 'ES256K', 'es256', 'toString', '', 7]) {
    t.is(await refused(`${encode({ alg })}.${encode(CLAIMS)}.AA`), rule('algorithm'), String(alg));
  }
});

test('2.1: a key is used with the algorithms of its type only', async (t) => {
  const token = await new SignJWT(CLAIMS)
    .setProtectedHeader({ alg: 'RS256', kid: 'own' })
    .sign(rsa.privateKey);
  t.is(await refused(token), 'jwt_svid_key_unknown');
});

test('2.2: kid is optional, and when it is set names the key', async (t) => {
  t.is(await refused(await tokenWith({}, { kid: undefined })), 'taken');
  t.is(await refused(await tokenWith({}, { kid: 'other' })), 'jwt_svid_key_unknown');
  t.is(await refused(`${encode({ alg: 'ES256', kid: 7 })}.${encode(CLAIMS)}.AA`), rule('kid'));
});

test('2.3: typ is JWT or JOSE when it is set', async (t) => {
  t.is(await refused(await tokenWith({}, { typ: 'JWT' })), 'taken');
  t.is(await refused(await tokenWith({}, { typ: 'JOSE' })), 'taken');
  for (const typ of ['at+jwt', 'jwt', '']) {
    t.is(await refused(await tokenWith({}, { typ })), rule('type'), typ);
  }
});

test('3.1: the subject is a SPIFFE ID', async (t) => {
  t.is(await refused(await tokenWith({ sub: undefined as never })), rule('subject'));
  t.is(await refused(await tokenWith({ sub: 'db' })), 'spiffe_id_invalid: scheme');
  const dots = 'spiffe://example.org/../admin';
  t.is(await refused(await tokenWith({ sub: dots })), 'spiffe_id_invalid: dot_segment');
});

test('3.2: the audience is there, and has the own one', async (t) => {
  t.is(await refused(await tokenWith({ aud: undefined as never })), rule('audience'));
  t.is(await refused(await tokenWith({ aud: [] })), rule('audience'));
  t.is(await refused(await tokenWith({ aud: [7] as never })), rule('audience'));
  t.is(await refused(await tokenWith({ aud: 'reports' })), 'taken');
  t.is(await refused(await tokenWith({ aud: ['others', 'reports'] })), 'taken');
  for (const aud of ['others', 'report', 'reports2', 'Reports', '*']) {
    t.is(await refused(await tokenWith({ aud })), 'jwt_svid_audience', aud);
  }
  t.is(await refused(await tokenWith(), []), rule('no_own_audience'));
});

test('3.3: the expiry is there, and not past, within the skew of clocks', async (t) => {
  t.is(await refused(await tokenWith({ exp: undefined as never })), rule('expiry'));
  const text = { ...CLAIMS, exp: String(NOW_S + 300) };
  const odd = await new CompactSign(Buffer.from(JSON.stringify(text)))
    .setProtectedHeader({ alg: 'ES256', kid: 'own' })
    .sign(own.privateKey);
  t.is(await refused(odd), rule('expiry'));
  const token = await tokenWith({ exp: NOW_S });
  t.is(await refused(token, ['reports'], NOW_MS + 59_000), 'taken');
  t.is(await refused(token, ['reports'], NOW_MS + 60_000), 'svid_expired');
});

test('4: a token that is not valid yet is refused', async (t) => {
  t.is(await refused(await tokenWith({ nbf: NOW_S + 61 })), 'svid_not_yet_valid');
  t.is(await refused(await tokenWith({ nbf: NOW_S + 59 })), 'taken');
});

test('4: the signature is checked, over header and claims', async (t) => {
  const [head = '', , signature = ''] = (await tokenWith()).split('.');
  const changed = encode({ ...CLAIMS, sub: 'spiffe://example.org/admin' });
  t.is(await refused(`${head}.${changed}.${signature}`), 'jwt_svid_signature');
  t.is(await refused(`${head}.${encode(CLAIMS)}.`), 'jwt_svid_signature');
  const stranger = makeKey('ES256', 'own');
  t.is(await refused(await tokenWith({}, {}, stranger)), 'jwt_svid_signature');
});

test('6.2: the keys are those of the trust domain of the subject, by its whole name', async (t) => {
  for (const name of ['other.org', 'example.org.evil', 'evil.example.org', 'example.or']) {
    const token = await tokenWith({ sub: `spiffe://${name}/db` });
    t.is(await refused(token), 'trust_domain_unknown', name);
  }
});

test('a huge token is refused before it is read', async (t) => {
  t.is(await refused(await tokenWith({ pad: 'a'.repeat(10_000) })), rule('size'));
});

test('no part of a token is in the error', async (t) => {
  const token = await tokenWith({ aud: 'secret-audience', canary: 'canary-claim' });
  const error = await t.throwsAsync(validateJwtSvid(token, ['reports'], authorities, NOW_MS));
  const shown = inspect(error, { depth: 9 });
  for (const part of [...token.split('.'), 'secret-audience', 'canary-claim']) {
    t.false(shown.includes(part));
  }
});

test('a key that is no point of its curve is not the key, and hides no other', async (t) => {
  const bytes = Buffer.alloc(32, 1).toString('base64url');
  const off = { kid: 'own', jwk: { kty: 'EC', crv: 'P-256', x: bytes, y: bytes } };
  const given = { jwtAuthoritiesOf: () => [off, own.authority] };
  const svid = await validateJwtSvid(await tokenWith(), ['reports'], given, NOW_MS);
  t.is(svid.id.path, '/db');
  const alone = { jwtAuthoritiesOf: () => [off] };
  const refusal = refusalOf(validateJwtSvid(await tokenWith(), ['reports'], alone, NOW_MS));
  t.is(await refusal, 'jwt_svid_signature');
});
