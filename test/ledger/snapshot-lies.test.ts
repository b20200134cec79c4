import test from 'ava';
import { storeKeys } from '#ledger/keys.ts';
import { pointsOf } from '#p2p/score.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { newcomer } from '#test/support/epochs.ts';
import { LIES, flipped, lie } from '#test/support/liars.ts';
import { fill } from '#test/support/snapshots.ts';

/** What a peer sends wrong is found before anything of it is used, and another peer is asked. */

for (const [name, change] of Object.entries(LIES)) {
  test(`a snapshot with ${name} is refused, and taken from another peer`, async (t) => {
    const cluster = await SimCluster.start({ validators: 1, seed: 71 });
    await fill(cluster, 150, [0], 2);
    await cluster.join('honest', newcomer(1));
    t.true(await cluster.until(() => cluster.haveFinal(150), 20_000));
    lie(cluster.at(0), 'snapshot', change);
    const late = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
    t.true(await cluster.until(() => late.core.replica.fold.size === 150, 120_000));
    t.true(late.core.replica.counters.finals < 150, 'by a snapshot');
    const isBlamed = late.network.penalties.some(({ peer }) => peer === 'peer-0');
    t.true(isBlamed || name.startsWith('no rows'));
    t.is(new Set(cluster.summaries()).size, 1);
    await fill(cluster, 4, [0], 2);
    t.true(await cluster.until(() => cluster.haveFinal(154), 60_000));
    t.is(new Set(cluster.summaries()).size, 1);
    await cluster.stop();
  });
}

test('an old snapshot with a valid certificate loses to a newer one', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 72 });
  await fill(cluster, 150, [0], 2);
  await cluster.join('honest', newcomer(1));
  const first = await cluster.join('first', newcomer(2), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => first.core.replica.fold.size === 150, 30_000));
  // from now on it gives what it made then, for ever
  const old = cluster.at(0).core.snapshots.shelf.fresh();
  t.is(old?.size, 150);
  cluster.at(0).core.snapshots.shelf.fresh = () => old;
  await fill(cluster, 150, [0], 2);
  await cluster.run(120_000);
  await fill(cluster, 1, [0], 1);
  const late = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => late.core.replica.fold.size === 301, 60_000));
  t.true(late.core.log.from > 151, `the log from ${late.core.log.from} on`);
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('a wrong tail is refused, and taken from another peer', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 73 });
  await fill(cluster, 150, [0], 2);
  await cluster.join('honest', newcomer(1));
  t.true(await cluster.until(() => cluster.haveFinal(150), 20_000));
  for (const protocol of ['blocks', 'range', 'frontier'] as const) {
    lie(cluster.at(0), protocol, (frame) => (frame.length > 1000 ? flipped(frame, -200) : frame));
  }
  cluster.hub.cut('honest', 'late');
  const late = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => late.core.replica.fold.size === 150, 60_000));
  const isBlamed = () => late.network.penalties.some(({ peer }) => peer === 'peer-0');
  await fill(cluster, 30, [0], 2);
  t.true(await cluster.until(isBlamed, 10_000));
  cluster.hub.heal('honest', 'late');
  t.true(await cluster.until(() => cluster.haveFinal(180), 60_000));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('a snapshot that contradicts what the node holds is not installed, and told', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 74 });
  await fill(cluster, 20, [0], 2);
  const other = await cluster.join('other', newcomer(1), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => cluster.haveFinal(20), 20_000));
  const rows = new Map(other.store.rows);
  await cluster.crash(1);
  const key = storeKeys.final(5);
  rows.set(key, flipped(rows.get(key) as Uint8Array, 3));
  await fill(cluster, 160, [0], 2);
  await cluster.restart(1, rows);
  t.true(await cluster.until(() => other.core.snapshots.sync.hasContradiction, 20_000));
  t.true(await cluster.until(() => cluster.haveFinal(180), 60_000));
  t.is(other.core.log.from, 1, 'what it had is still there');
  t.true(other.network.penalties.every(({ code }) => pointsOf(code) === 0));
  await cluster.stop();
});
