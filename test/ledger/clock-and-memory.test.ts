import test from 'ava';
import { ClockGuard } from '#ledger/clock-guard.ts';
import type { Clock } from '#ledger/ports.ts';
import { silentLog } from '#test/support/cluster.ts';
import { areIn, changeCommittee } from '#test/support/epochs.ts';
import { seededNet } from '#test/support/seeded-actor.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** What a validator must not sign: times of a clock that stepped, and slots it may have signed. */

interface Stepping {
  readonly clock: Clock;
  readonly step: (wall_ms: number, both_ms?: number) => void;
}

function stepping(): Stepping {
  let wall_ms = 1_000_000;
  let monotonic_ms = 0;
  return {
    clock: {
      wall_ms: () => wall_ms,
      monotonic_ms: () => monotonic_ms,
      after: () => () => undefined,
    },
    step: (by_ms, both_ms = 0) => {
      wall_ms += by_ms + both_ms;
      monotonic_ms += both_ms;
    },
  };
}

test('a step of the wall clock stops sealing until a quorum tells the same time', (t) => {
  const { committee } = seededNet(4, 0).chain;
  const { clock, step } = stepping();
  const guard = new ClockGuard(clock, committee, 0, silentLog);
  t.true(guard.maySeal());
  step(4000, 1000);
  t.true(guard.maySeal(), 'small steps are drift');
  step(3_600_000, 1000);
  t.false(guard.maySeal());
  t.true(guard.isSuspect);
  guard.note(1, clock.wall_ms());
  t.false(guard.maySeal(), 'two of four are no quorum');
  guard.note(2, clock.wall_ms() - 3_600_000);
  t.false(guard.maySeal(), 'a third that tells another time does not count');
  guard.note(2, clock.wall_ms() + 1000);
  t.true(guard.maySeal());
  t.false(guard.isSuspect);
});

test('a start with a clock that the first peer contradicts waits for a quorum', (t) => {
  const { committee } = seededNet(4, 0).chain;
  const { clock } = stepping();
  const guard = new ClockGuard(clock, committee, 0, silentLog);
  guard.note(1, clock.wall_ms() + 86_400_000);
  t.false(guard.maySeal());
  guard.note(2, clock.wall_ms());
  t.false(guard.maySeal(), 'two of four are no quorum');
  guard.note(3, clock.wall_ms());
  t.true(guard.maySeal());
  guard.note(3, clock.wall_ms() + 86_400_000);
  t.true(guard.maySeal(), 'later only a step of the own clock is in doubt');
});

test('what peers told long ago confirms nothing', (t) => {
  const { committee } = seededNet(4, 0).chain;
  const { clock, step } = stepping();
  const guard = new ClockGuard(clock, committee, 0, silentLog);
  for (const author of [1, 2, 3]) guard.note(author, clock.wall_ms() - 60_000);
  step(0, 20_000);
  step(-60_000);
  t.false(guard.maySeal());
});

test('alone in its committee a node is its own quorum', (t) => {
  const { committee } = seededNet(1, 0).chain;
  const { clock, step } = stepping();
  const guard = new ClockGuard(clock, committee, 0, silentLog);
  step(86_400_000);
  t.true(guard.maySeal());
});

test('a validator whose store was set back follows and seals nothing', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  await cluster.put(3, 'first', 'v');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  const old = new Map(cluster.at(3).store.rows);
  await cluster.put(3, 'second', 'v');
  t.true(await cluster.until(() => cluster.haveFinal(2), 5000));
  await cluster.crash(3);
  await cluster.restart(3, old);
  const { replica } = cluster.at(3).core;
  t.true(await cluster.until(() => replica.hasForgotten, 5000));
  await cluster.put(0, 'third', 'v');
  const all = [0, 1, 2, 3];
  const have = (count: number) => cluster.haveFinal(count, all);
  t.true(await cluster.until(() => have(4), 5000), 'it follows, and has told its loss');
  t.is(replica.counters.blocksSealed, 0);
  await cluster.restart(3, await cluster.crash(3));
  await cluster.put(0, 'fourth', 'v');
  t.true(await cluster.until(() => have(5), 5000));
  t.true(cluster.at(3).core.replica.hasForgotten, 'a later start knows it too');
  t.is(cluster.at(3).core.replica.counters.blocksSealed, 0);
  t.is(new Set(cluster.summaries()).size, 1);
  t.is(cluster.at(0).core.replica.counters.equivocations, 0);
  await cluster.stop();
});

test('a store set back to before an epoch seals in no slot of it that it used', async (t) => {
  const cluster = await SimCluster.start({ validators: 5, seed: 71 });
  await cluster.put(3, 'first');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  // peer-4 sees nothing of what follows, and stays behind
  cluster.hub.partition(['peer-4'], ['peer-0', 'peer-1', 'peer-2', 'peer-3']);
  await changeCommittee(cluster, 0, [], cluster.net.validators.slice(4));
  t.true(await cluster.until(() => cluster.at(3).core.replica.orderer.isEnded, 5000));
  const old = new Map(cluster.at(3).store.rows);
  const others = [0, 1, 2];
  t.true(await cluster.until(() => areIn(cluster, 1, [...others, 3]), 5000));
  await cluster.put(3, 'second');
  t.true(await cluster.until(() => cluster.haveFinal(3, others), 5000));
  t.true((cluster.at(3).core.replica.last?.round ?? 0) > 0, 'it used slots of the epoch');
  await cluster.crash(3);
  cluster.hub.partition(['peer-3', 'peer-4'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.restart(3, old);
  await cluster.run(3000);
  await cluster.put(3, 'third');
  const { replica } = cluster.at(3).core;
  t.is(replica.committee.epoch, 0);
  cluster.hub.healAll();
  t.true(await cluster.until(() => replica.hasForgotten, 10_000));
  t.is(replica.committee.epoch, 1);
  // 'third', and that its store was lost
  t.true(await cluster.until(() => cluster.haveFinal(5), 20_000));
  t.is(replica.counters.blocksSealed, 0);
  for (const i of others) t.is(cluster.at(i).core.replica.counters.equivocations, 0);
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});
