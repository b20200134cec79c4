import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Authority, AUTHORITY_TTL_S } from '#node/identity/authority.ts';
import { AuthorityKeeper } from '#node/identity/authority-keeper.ts';
import { parseEntry } from '#projections/identity-entries.ts';
import { spiffeIdOf } from '#projections/spiffe-id.ts';
import { SvidShelf } from '#node/identity/svid-shelf.ts';
import { systemEntropy as entropy } from '#node/system.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { HeldState, TRUST_DOMAIN, makeRig, ownEntry, quietLog, until } from './support.ts';

/** SVIDs at half their life, authorities long before their end, and clocks that step. */

const START_MS = Date.UTC(2030, 0, 1);

/** A clock whose wall can be set, as an administrator would. */
class SettableClock extends VirtualClock {
  step_ms = 0;

  override wall_ms(): number {
    return super.wall_ms() + this.step_ms;
  }
}

function keeperOn(clock: VirtualClock) {
  const state = new HeldState();
  const published: string[] = [];
  let isOpen = true;
  const keeper = new AuthorityKeeper({
    state,
    clock,
    entropy,
    log: quietLog,
    publish: (authority) => {
      published.push(authority.jwt.kid);
      if (isOpen) state.addAuthority(authority);
      return Promise.resolve();
    },
  });
  return { state, keeper, published, open: (is: boolean) => (isOpen = is) };
}

const trustDomain = new HeldState().current.trustDomain;
const own = parseEntry(ownEntry({ x509Ttl_s: 100 }));

async function shelfOn(clock: VirtualClock) {
  const authority = await Authority.make(trustDomain, { clock, entropy });
  return { authority, shelf: new SvidShelf(clock) };
}

test('an SVID is renewed at half its life, with a new key, and not before', async (t) => {
  const clock = new VirtualClock(START_MS);
  const { authority, shelf } = await shelfOn(clock);
  const first = await shelf.take(own, authority);
  await clock.run(49_000);
  t.is(await shelf.take(own, authority), first);
  await clock.run(1_000);
  const second = await shelf.take(own, authority);
  t.not(second, first);
  t.notDeepEqual(second.key, first.key);
  t.is(second.notAfter_ms, START_MS + 150_000);
});

test('a clock that steps forward renews at once, one that steps back, too', async (t) => {
  const clock = new SettableClock(START_MS);
  const { authority, shelf } = await shelfOn(clock);
  const first = await shelf.take(own, authority);
  clock.step_ms = 3_600_000;
  const second = await shelf.take(own, authority);
  t.is(second.notAfter_ms, START_MS + 3_700_000);
  clock.step_ms = 0;
  const third = await shelf.take(own, authority);
  t.not(third, second);
  t.is(third.notAfter_ms, first.notAfter_ms);
});

test('another entry or authority makes another SVID; one without entry is forgotten', async (t) => {
  const clock = new VirtualClock(START_MS);
  const { authority, shelf } = await shelfOn(clock);
  const first = await shelf.take(own, authority);
  const renamed = { ...own, spiffeId: spiffeIdOf(TRUST_DOMAIN, '/renamed') };
  const second = await shelf.take(renamed, authority);
  t.is(second.id.path, '/renamed');
  const other = await Authority.make(trustDomain, { clock, entropy });
  const third = await shelf.take(renamed, other);
  t.not(third, second);
  shelf.keep([]);
  t.not(await shelf.take(own, authority), first);
});

test('an SVID does not outlive its authority', async (t) => {
  const clock = new VirtualClock(START_MS);
  const { authority } = await shelfOn(clock);
  await clock.run(AUTHORITY_TTL_S * 1000 - 10_000);
  const { notAfter_ms } = await authority.issueX509(own.spiffeId, 3600);
  t.is(notAfter_ms, authority.notAfter_ms);
  const [, payload = ''] = (await authority.issueJwt(own.spiffeId, ['a'], 3600)).split('.');
  const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp: number };
  t.true(exp * 1000 <= authority.notAfter_ms);
  await clock.run(10_000);
  t.is(await codeOfPromise(authority.issueX509(own.spiffeId, 60)), 'issuer_expired');
});

test('an authority issues for its own trust domain only, and for workloads only', async (t) => {
  const { authority } = await shelfOn(new VirtualClock(START_MS));
  const foreign = [spiffeIdOf('other.org', '/a'), spiffeIdOf(`${TRUST_DOMAIN}x`, '/a')];
  for (const id of [...foreign, trustDomain]) {
    t.is(await codeOfPromise(authority.issueX509(id, 60)), 'issuer_other_domain');
    t.is(await codeOfPromise(authority.issueJwt(id, ['a'], 60)), 'issuer_other_domain');
  }
});

test('Federation 4.1: new keys are published before they are used', async (t) => {
  const clock = new VirtualClock(START_MS);
  const { keeper, published, open, state } = keeperOn(clock);
  open(false);
  await keeper.look();
  t.is(published.length, 1);
  t.is(keeper.active, undefined);
  await clock.run(10_000);
  open(true);
  await keeper.look();
  t.is(new Set(published).size, 1, 'the same authority is published again');
  await keeper.look();
  const first = keeper.active;
  t.truthy(first);

  // half its life: the next one is published, and not used yet
  await clock.run((AUTHORITY_TTL_S / 2) * 1000);
  await keeper.look();
  t.is(state.current.bundle.jwt.length, 2);
  t.is(keeper.active, first);
  await clock.run((AUTHORITY_TTL_S / 3) * 1000 + 30_000);
  await keeper.look();
  t.not(keeper.active, first);
  t.is(keeper.active?.published.jwt.kid, state.current.bundle.jwt[1]?.kid);
});

test('an authority that was taken out of the bundle signs no more', async (t) => {
  const { keeper, state } = keeperOn(new VirtualClock(START_MS));
  await keeper.look();
  t.truthy(keeper.active);
  state.set({ bundle: { ...state.current.bundle, x509: [] } });
  t.is(keeper.active, undefined);
});

test('a clock set far back or ahead makes a new authority', async (t) => {
  const clock = new SettableClock(START_MS);
  const { keeper } = keeperOn(clock);
  await keeper.look();
  const first = keeper.active;
  clock.step_ms = AUTHORITY_TTL_S * 2000;
  t.is(keeper.active, undefined);
  await keeper.look();
  const second = keeper.active;
  t.truthy(second);
  t.not(second, first);
  clock.step_ms = 0;
  await keeper.look();
  await keeper.look();
  t.truthy(keeper.active);
  t.not(keeper.active, second);
});

async function serve(t: ExecutionContext) {
  const clock = new SettableClock(Date.now());
  const rig = await makeRig({ clock });
  t.teardown(() => rig.stop());
  rig.state.enter(ownEntry({ x509Ttl_s: 60 }));
  const client = rig.client();
  await until(client, () => client.current.status === 'ready');
  return { clock, rig, client };
}

test('an open stream gets the renewed SVID', async (t) => {
  const { clock, client } = await serve(t);
  const first = client.defaultSvid;
  await clock.run(29_000);
  t.is(client.defaultSvid, first);
  const changed = until(client, () => client.current.svids[0] !== first);
  await clock.run(4_000);
  await changed;
  t.true(client.defaultSvid.notAfter_ms > first.notAfter_ms);
});

test('a client whose clock passes the end of its SVID has none', async (t) => {
  const { clock, rig, client } = await serve(t);
  await rig.server.close();
  clock.step_ms = 3_600_000;
  t.throws(() => client.defaultSvid, { code: 'workload_no_svid' });
});
