import { X509Certificate, createPrivateKey } from 'node:crypto';
import test from 'ava';
import { Authority } from '#node/identity/authority.ts';
import { readCertificate } from '#node/identity/certificate.ts';
import { OWN_SVID_TTL_S, OwnIdentity } from '#node/identity/own-svid.ts';
import type { ServedSvid } from '#node/identity/own-svid.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { systemClock, systemEntropy as entropy } from '#node/system.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { HeldState, TRUST_DOMAIN, makeRig, ownEntry, quietLog, until } from './support.ts';

/** What a node shows who it is with: somebody else's word where there is one, else its own. */

const START_MS = Date.UTC(2030, 0, 1);
const actor = 'ab'.repeat(32);
const { trustDomain } = new HeldState().current;

/** The certificates of a PEM text, the leaf first. */
function certificatesIn({ cert }: ServedSvid): X509Certificate[] {
  const parts = cert.split(/(?<=-----END CERTIFICATE-----\n)/).filter((one) => one.trim() !== '');
  return parts.map((pem) => new X509Certificate(pem));
}

test('a node issues itself an SVID by its name, and another at half its life', async (t) => {
  const clock = new VirtualClock(START_MS);
  const authority = await Authority.make(trustDomain, { clock, entropy });
  let active: Authority | undefined = authority;
  const log = quietLog;
  const own = new OwnIdentity({ actor, clock, log, client: undefined, authority: () => active });
  t.is(own.current, undefined);
  let changes = 0;
  own.subscribe(() => (changes += 1));
  await own.look();
  const first = own.current as ServedSvid;
  t.is(first.id.uri, `spiffe://${TRUST_DOMAIN}/node/${actor}`);
  const chain = certificatesIn(first).map(({ raw }) => readCertificate(new Uint8Array(raw)));
  t.is(chain.length, 2);
  const anchors = [authority.published.x509];
  const trust = { x509AuthoritiesOf: (name: string) => (name === TRUST_DOMAIN ? anchors : []) };
  t.is(validateX509Svid(chain, trust, clock.wall_ms()).id.uri, first.id.uri);
  t.true(certificatesIn(first)[0]?.checkPrivateKey(createPrivateKey(first.key)));

  await clock.run((OWN_SVID_TTL_S * 1000) / 2 - 1000);
  await own.look();
  t.is(own.current, first);
  await clock.run(1000);
  await own.look();
  const second = own.current as ServedSvid;
  t.not(second.cert, first.cert);
  t.not(second.key, first.key);

  // another authority: what the old one has signed is shown no more
  active = await Authority.make(trustDomain, { clock, entropy });
  await own.look();
  const third = own.current as ServedSvid;
  t.not(third.cert, second.cert);
  active = undefined;
  await own.look();
  t.is(own.current, undefined, 'revoked, or not published yet');
  t.is(changes, 4);
});

test('an SVID that has expired is not shown, also where nothing renews it', async (t) => {
  const clock = new VirtualClock(START_MS);
  const authority = await Authority.make(trustDomain, { clock, entropy });
  const parts = { actor, clock, log: quietLog, client: undefined };
  const own = new OwnIdentity({ ...parts, authority: () => authority });
  await own.look();
  t.truthy(own.current);
  await clock.run(OWN_SVID_TTL_S * 1000);
  t.is(own.current, undefined);
});

test('the SVID of a Workload API comes before the own authority, and goes with it', async (t) => {
  const rig = await makeRig();
  t.teardown(() => rig.stop());
  rig.state.enter(ownEntry({ spiffeId: `spiffe://${TRUST_DOMAIN}/given` }));
  const client = rig.client();
  await until(client, () => client.current.status === 'ready');
  const authority = await Authority.make(trustDomain, { clock: systemClock, entropy });
  const parts = { actor, clock: systemClock, log: quietLog, client };
  const own = new OwnIdentity({ ...parts, authority: () => authority });
  await own.look();
  const given = own.current as ServedSvid;
  t.is(given.id.uri, `spiffe://${TRUST_DOMAIN}/given`);
  t.true(certificatesIn(given)[0]?.checkPrivateKey(createPrivateKey(given.key)));
  rig.state.enter();
  await until(client, () => client.current.status === 'denied');
  await own.look();
  t.is(own.current, undefined, 'taken away, and nothing takes its place');
});
