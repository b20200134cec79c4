import test from 'ava';
import { idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { AUTHORITIES_MAX, ISSUERS_MAX, identity, readIdentity } from '#projections/identity.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { Authority } from '#node/identity/authority.ts';
import { ledgerDocument, parseBundle, serialiseBundle } from '#node/identity/bundle.ts';
import { readCertificates } from '#node/identity/certificate.ts';
import { parseTrustDomain } from '#projections/spiffe-id.ts';
import { genesis } from '#test/identity/ledger.ts';
import { CREATED_MS } from '#test/support/cluster.ts';

/** Authorities of a trust domain are as many as readers of its bundle take. */

const HOUR_MS = 3_600_000;
const operator = genesis.operators[0] ?? '';
const actors = Array.from({ length: 40 }, (_, i) => idOf(Uint8Array.of(i)));

function net(issuers: number) {
  const held = new Map<string, Uint8Array>();
  const rows = {
    get: (key: string) => held.get(key),
    put: (key: string, value: Uint8Array) => void held.set(key, value),
    remove: (key: string) => void held.delete(key),
  };
  identity.start({ ...genesis, committee: [] }, rows);
  let seq = 0;
  const say = (actor: Id, kind: string, body: object, ts_ms = CREATED_MS): string => {
    const event = { actor, kind, body } as never;
    const id = idOf(Uint8Array.of(7));
    const standingOf = (who: Id) => ({ roles: who === operator ? ['operator'] : [], labels: [] });
    return identity.apply({ id, event, seq: (seq += 1), ts_ms }, rows, standingOf);
  };
  const allow = (index: number) =>
    say(operator, 'identity.issuer/1', {
      actor: Uint8Array.fromHex(actors[index] ?? ''), allowed: true,
    });
  for (let index = 0; index < issuers; index += 1) allow(index);
  const publish = (index: number, ts_ms = CREATED_MS): string =>
    say(actors[index] ?? '', 'identity.authority/1', {
      x509: Uint8Array.of(0x30, 0),
      jwt: { kid: `k${(seq += 1)}`, x: new Uint8Array(32), y: new Uint8Array(32) },
      notAfter_ms: CREATED_MS + HOUR_MS,
    }, ts_ms);
  const view = () => readIdentity(rows)?.authorities ?? [];
  return { allow, publish, view, of: (index: number) =>
    view().filter(({ actor }) => actor === actors[index]).length };
}

test('sixteen issuers with four authorities each leave no room, until some have ended', (t) => {
  const { allow, publish, view, of } = net(16);
  for (let each = 0; each < 4; each += 1) {
    for (let index = 0; index < 16; index += 1) t.is(publish(index), 'applied');
  }
  t.is(view().length, AUTHORITIES_MAX);
  t.is(publish(3), 'applied', 'its own oldest makes room');
  t.is(of(3), 4);
  t.is(allow(16), 'applied');
  t.is(publish(16), 'identity_bounds');
  t.is(view().length, AUTHORITIES_MAX);
  // with seventeen issuers there are three for each
  t.is(publish(3), 'applied');
  t.is(of(3), 3);
  t.is(publish(16), 'applied', 'who publishes again leaves the newcomer a place');
  t.is(publish(16), 'identity_bounds', 'rotation needs two: the only one is not replaced');
  t.is(publish(4), 'applied');
  t.is(publish(16), 'applied');
  t.is(publish(16, CREATED_MS + HOUR_MS + 1), 'identity_invalid');
});

test('as many issuers as may be have room for rotation, each', (t) => {
  const { allow, publish, view, of } = net(ISSUERS_MAX);
  t.is(allow(ISSUERS_MAX), 'identity_bounds');
  for (let each = 0; each < 3; each += 1) {
    for (let index = 0; index < ISSUERS_MAX; index += 1) t.is(publish(index), 'applied');
  }
  t.is(view().length, AUTHORITIES_MAX);
  t.is(of(0), 2);
});

test('workloads and other networks take a bundle of all of them, no larger one', async (t) => {
  const domain = parseTrustDomain(`${'a'.repeat(20)}.00a1b2c3d4e5f607`);
  const made = Array.from({ length: AUTHORITIES_MAX + 1 }, async () =>
    (await Authority.make(domain, { clock, entropy })).published);
  const all = await Promise.all(made);
  const bundleOf = (count: number) => ({
    trustDomain: domain.trustDomain,
    x509: all.slice(0, count).map(({ x509 }) => x509),
    jwt: all.slice(0, count).map(({ jwt }) => jwt),
    sequence: 2n ** 63n,
    refreshHint_s: 60,
  });
  const whole = bundleOf(AUTHORITIES_MAX);
  const ders = ({ x509 }: typeof whole) => Buffer.concat(x509.map(({ der }) => der));
  t.is(readCertificates(ders(whole)).length, AUTHORITIES_MAX);
  const read = parseBundle(domain.trustDomain, serialiseBundle(whole));
  t.deepEqual([read.x509.length, read.jwt.length], [AUTHORITIES_MAX, AUTHORITIES_MAX]);
  const kept = parseBundle(domain.trustDomain, ledgerDocument(read));
  t.deepEqual([kept.x509.length, kept.jwt.length], [AUTHORITIES_MAX, AUTHORITIES_MAX]);
  const large = bundleOf(AUTHORITIES_MAX + 1);
  t.throws(() => readCertificates(ders(large)), { code: 'certificate_invalid' });
  t.throws(() => parseBundle(domain.trustDomain, serialiseBundle(large)), {
    code: 'bundle_invalid',
  });
});
