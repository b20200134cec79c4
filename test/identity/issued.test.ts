import test from 'ava';
import { Authority, HeldRoot } from '#node/identity/authority.ts';
import { readCertificates } from '#node/identity/certificate.ts';
import { validateJwtSvid } from '#node/identity/jwt-svid.ts';
import { checkLeaf, checkSigner, idOf, validateX509Svid } from '#node/identity/x509-svid.ts';
import { systemEntropy as entropy } from '#node/system.ts';
import { parseTrustDomain, spiffeIdOf } from '#projections/spiffe-id.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { NOW_MS } from './craft.ts';

/** What this software issues itself, by the rules that it holds others to. */

const trustDomain = parseTrustDomain('example.org');
const id = spiffeIdOf('example.org', '/db');
const clock = new VirtualClock(NOW_MS);
const authority = await Authority.make(trustDomain, { clock, entropy });
const { x509, jwt } = authority.published;
const held = { x509AuthoritiesOf: () => [x509], jwtAuthoritiesOf: () => [jwt] };

test('SPIFFE-ID 3.1: the signing authority carries an SVID of its own', (t) => {
  t.is(checkSigner(x509)?.uri, 'spiffe://example.org');
  t.true(x509.openssl.verify(x509.publicKey), 'self-signed');
});

test('SPIFFE-ID 3.3: what is issued passes the rules of its specification', async (t) => {
  const svid = await authority.issueX509(id, 600);
  t.deepEqual(validateX509Svid(svid.chain, held, NOW_MS).id, id);
  const token = await authority.issueJwt(id, ['reports'], 60);
  t.regex(token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  t.deepEqual((await validateJwtSvid(token, ['reports'], held, NOW_MS)).id, id);
});

test('a chain is the leaf and an intermediate that signs for leaves only', async (t) => {
  const { chain } = await authority.issueX509(id, 600);
  const [leaf, node, ...others] = readCertificates(chain);
  if (!leaf || !node) throw new Error('too short');
  t.is(others.length, 0);
  t.is(checkLeaf(leaf).uri, id.uri);
  t.is(idOf(node).uri, trustDomain.uri);
  t.is(node.pathLength, 0);
  t.is(x509.pathLength, 1);
  t.not(node.openssl.subject, x509.openssl.subject);
});

test('every SVID has its own key and serial number', async (t) => {
  const [one, two] = [await authority.issueX509(id, 600), await authority.issueX509(id, 600)];
  t.notDeepEqual(one.key, two.key);
  const serial = (chain: Uint8Array) => readCertificates(chain)[0]?.openssl.serialNumber;
  t.not(serial(one.chain), serial(two.chain));
});

test('an intermediate under a root that is held elsewhere is trusted by that root', async (t) => {
  const upstream = await HeldRoot.make(trustDomain, NOW_MS, entropy);
  const below = await Authority.make(trustDomain, { clock, entropy }, upstream);
  const { chain } = await below.issueX509(id, 600);
  const anchors = { x509AuthoritiesOf: () => [upstream.root] };
  t.deepEqual(validateX509Svid(chain, anchors, NOW_MS).id, id);
  t.throws(() => validateX509Svid(chain, held, NOW_MS), { code: 'svid_untrusted' });
});
