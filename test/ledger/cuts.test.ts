import test from 'ava';
import { decodeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { Committee } from '#ledger/committee.ts';
import { storeKeys } from '#ledger/keys.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { HandFold, ada, bob, net, put } from './fold-support.ts';

/** One commit: how many events, and its time after the first one. */
type Step = readonly [events: number, at_ms: number];

/** Folds commits; `restart` says after which of them the fold is made anew from its store. */
async function cutsOf(
  steps: readonly Step[],
  restart: (step: number) => boolean = () => false,
): Promise<Checkpoint[]> {
  let hand = new HandFold();
  const cuts: Checkpoint[] = [];
  let seq = 0;
  for (const [i, [events, at_ms]] of steps.entries()) {
    const entries = Array.from({ length: events }, () => put(ada, seq, `${seq++ % 9}`));
    hand.apply([entries], CREATED_MS + at_ms);
    await hand.write();
    cuts.push(...hand.fold.cuts.take());
    if (restart(i)) hand = hand.restarted();
  }
  return cuts;
}

const briefly = (cuts: readonly Checkpoint[]): string[] =>
  cuts.map(({ cut, size, ts_ms }) => `${cut} ${size} at ${ts_ms - CREATED_MS}`);

test('the log is cut after a thousand events, or ten seconds, where events end', async (t) => {
  const steps: Step[] = [
    [1, 0],
    [998, 1500],
    [1, 1600],
    [1, 1700],
    [0, 11_800],
    [5, 11_900],
    [999, 21_000],
    [1, 21_100],
    [2500, 21_200],
    [1, 22_099],
    [1, 22_100],
  ];
  const cuts = await cutsOf(steps);
  t.deepEqual(briefly(cuts), [
    'periodic 1 at 0',
    'periodic 1001 at 1700',
    'periodic 1006 at 11900',
    'periodic 2006 at 21100',
    // no more than one a second, however many events
    'periodic 4508 at 22100',
  ]);
  let prev = net.chain.id;
  for (const checkpoint of cuts) {
    t.is(checkpoint.prev, prev);
    t.is(checkpoint.epoch, 0);
    prev = checkpoint.id;
  }
});

test('cuts are a function of the final sequence: restarts change nothing', async (t) => {
  const steps: Step[] = Array.from({ length: 60 }, (_, i) => [
    (i * 37) % 90,
    i * 700 + ((i * 131) % 300),
  ]);
  const once = await cutsOf(steps);
  t.true(once.length > 3);
  t.deepEqual(briefly(await cutsOf(steps, () => true)), briefly(once));
  const ids = (cuts: readonly Checkpoint[]) => cuts.map(({ id }) => id);
  t.deepEqual(ids(await cutsOf(steps, (i) => i % 7 === 3)), ids(once));
});

test('a checkpoint says what the fold says, and its row is in its batch', async (t) => {
  const hand = new HandFold();
  hand.apply([[put(ada, 0, 'a'), put(bob, 0, 'b')]]);
  const { logRoot, stateRoot, size } = hand.fold.summary();
  const rows = hand.fold.ops(hand.state);
  const [checkpoint] = hand.fold.cuts.take();
  const { index = 0, id = '', ts_ms } = hand.commit ?? {};
  t.like(checkpoint, { size, root: logRoot, state: stateRoot, ts_ms, chain: net.chain.id });
  t.deepEqual(checkpoint?.commit, { index, id });
  const row = rows.find(({ key }) => key.startsWith('h/own/'));
  t.is(row?.type === 'put' ? decodeCheckpoint(row.value).id : '', checkpoint?.id ?? '-');
});

test('an idle cut covers the tail once, names the last events, and chains nothing', async (t) => {
  const hand = new HandFold();
  hand.apply([[put(ada, 0, 'a')]], CREATED_MS);
  hand.apply([[put(ada, 1, 'b')]], CREATED_MS + 5);
  const { commit } = hand;
  hand.apply([[]], CREATED_MS + 6);
  await hand.write();
  const [periodic] = hand.fold.cuts.take();
  t.is(hand.fold.cutIdle().length, 1);
  t.deepEqual(hand.fold.cutIdle(), []);
  const [idle] = hand.fold.cuts.take();
  t.like(idle, { cut: 'idle', size: 2, prev: periodic?.id, ts_ms: CREATED_MS + 5 });
  t.is(idle?.commit.id, commit?.id ?? '');
  hand.apply([[put(ada, 2, 'c')]], CREATED_MS + 20_000);
  t.is(hand.fold.cuts.take()[0]?.prev, periodic?.id);
  t.deepEqual(hand.fold.cutIdle(), [], 'a cut stands there');
  t.deepEqual(new HandFold().fold.cutIdle(), [], 'nothing to cut');
});

test('the end of an epoch names the next committee; a periodic cut at it gives way', async (t) => {
  for (const events of [1, 1200]) {
    const hand = new HandFold();
    hand.apply([[put(ada, 0, 'a')]], CREATED_MS);
    await hand.write();
    const [first] = hand.fold.cuts.take();
    const entries = Array.from({ length: events }, (_, i) => put(ada, i + 1, 'x'));
    const leaves = put(bob, 0, '', { kind: 'committee.leave/1', body: {} });
    hand.apply([[...entries, leaves]], CREATED_MS + 2000);
    const next = new Committee(1, net.chain.committee.validators.slice(0, 1));
    await hand.write();
    const cuts = hand.fold.cuts.take();
    t.is(cuts.length, 1);
    t.like(cuts[0], { cut: 'epoch', size: events + 2, nextCommittee: next.id, prev: first?.id });
    t.deepEqual(decodeCheckpoint(cuts[0]?.bytes as Uint8Array), cuts[0]);
    const own = [...hand.store.rows.keys()].filter((key) => key.startsWith('h/own/'));
    t.is(own.length, 2);
    t.truthy(hand.store.get(storeKeys.committee(1)));
    hand.apply([[put(ada, 5000, 'y')]], CREATED_MS + 20_000);
    t.is(hand.fold.cuts.take()[0]?.prev, cuts[0]?.id);
  }
});

test('a store from before checkpoints cuts none until it is rebuilt', async (t) => {
  const hand = new HandFold();
  hand.apply([[put(ada, 0, 'a')]], CREATED_MS);
  await hand.write();
  hand.store.rows.delete(storeKeys.cuts);
  const old = hand.restarted();
  t.false(old.fold.cuts.isActive);
  old.apply([[put(ada, 1, 'b')]], CREATED_MS + 60_000);
  t.deepEqual(old.fold.cuts.take(), []);
  t.deepEqual(old.fold.cutIdle(), []);
});
