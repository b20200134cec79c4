import test from 'ava';
import type { ExecutionContext } from 'ava';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { Rows } from '#test/support/sim-cluster.ts';
import { assertAllGoOn, cutAgain, doubledSlots, survivorsOf } from '#test/support/power-cuts.ts';
import {
  areIn,
  changeCommittee,
  differing,
  epochOf,
  joining,
  logOf,
  newcomer,
} from '#test/support/epochs.ts';

/** Power cuts around the end of an epoch: at every write the node is in one epoch or the other. */

async function assertSound(t: ExecutionContext, cluster: SimCluster, ids: string[]) {
  t.true(await cluster.until(() => cluster.haveFinal(ids.length), 30_000));
  t.deepEqual(logOf(cluster.at(0)).toSorted(), ids.toSorted());
  await cluster.run(500);
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(differing(cluster), []);
}

for (let round = 0; round < 4; round++) {
  test(`the power of one node fails at any time around the end (${round})`, async (t) => {
    const cluster = await SimCluster.start({ validators: 4, seed: 30 + round, write_ms: 3 });
    const who = newcomer(0);
    await cluster.join('peer-4', who);
    await cluster.run(50);
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push(await cluster.put(i, `k${i}`));
    ids.push(await changeCommittee(cluster, 0, [joining(who, 'peer-4')]));
    const stores = await cutAgain(cluster, (round + 1) % 5, 7 + 3 * round, ids);
    await assertSound(t, cluster, ids);
    t.true(areIn(cluster, 1));
    await cluster.put(4, 'last');
    t.true(await cluster.until(() => cluster.haveFinal(ids.length + 1), 10_000));
    for (const { store } of cluster.nodes) stores.push(store.rows);
    t.deepEqual(doubledSlots(stores), []);
    await cluster.stop();
  });
}

test('all nodes lose power together, again and again, while epochs end', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 40, write_ms: 2 });
  const ids: string[] = [];
  const stores: Rows[] = [];
  for (let i = 0; i < 3; i++) await cluster.join(`peer-${4 + i}`, newcomer(i));
  await cluster.run(50);
  for (let i = 0; i < 3; i++) {
    ids.push(await cluster.put(i, `k${i}`));
    ids.push(await changeCommittee(cluster, i, [joining(newcomer(i), `peer-${4 + i}`)]));
    for (const pause_ms of [5, 17, 31, 47]) {
      await cluster.run(pause_ms);
      const rows = await Promise.all(cluster.nodes.map((_, at) => cluster.crash(at)));
      stores.push(...rows);
      await cluster.run(20);
      for (const [at, left] of rows.entries()) await cluster.restart(at, left);
    }
    t.true(await cluster.until(() => areIn(cluster, i + 1), 20_000));
  }
  await assertSound(t, cluster, ids);
  for (const { store } of cluster.nodes) stores.push(store.rows);
  t.deepEqual(doubledSlots(stores), []);
  await cluster.stop();
});

test('a node that stopped between the end and the seal goes on from there', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 41 });
  const who = newcomer(0);
  await cluster.join('peer-4', who);
  await cluster.run(50);
  const id = await changeCommittee(cluster, 0, [joining(who, 'peer-4')]);
  const hasEnded = () => cluster.at(0).core.replica.orderer.isEnded;
  t.true(await cluster.until(hasEnded, 5000));
  t.is(epochOf(cluster.at(0)), 0);
  // nobody can answer it
  const rows = [...cluster.at(0).store.rows];
  await cluster.crash(0);
  cluster.hub.partition(['peer-0'], ['peer-1', 'peer-2', 'peer-3', 'peer-4']);
  await cluster.restart(0, rows);
  await cluster.run(2000);
  t.true(hasEnded());
  t.is(epochOf(cluster.at(0)), 0);
  const sealed = cluster.at(0).core.replica.counters.blocksSealed;
  await cluster.put(0, 'held');
  await cluster.run(2000);
  t.is(cluster.at(0).core.replica.counters.blocksSealed, sealed, 'nothing without the seal');
  t.true(areIn(cluster, 1, [1, 2, 3, 4]));
  cluster.hub.healAll();
  t.true(await cluster.until(() => areIn(cluster, 1) && cluster.haveFinal(2), 10_000));
  t.is(cluster.at(0).core.log.event(id)?.state, 'final');
  await cluster.stop();
});

test('all nodes lose power at every write around the end of an epoch', async (t) => {
  const options = { validators: 3, seed: 42 };
  const cluster = await SimCluster.start(options);
  const ids = [await cluster.put(0, 'before'), await cluster.put(1, 'before too')];
  t.true(await cluster.until(() => cluster.haveFinal(2), 3000));
  const instants = survivorsOf(cluster);
  const leaver = cluster.net.validators[2];
  const change = await changeCommittee(cluster, 0, [], leaver ? [leaver] : []);
  ids.push(change);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  ids.push(await cluster.put(2, 'after'));
  t.true(await cluster.until(() => cluster.haveFinal(4), 5000));
  await assertAllGoOn(t, { options, instants, every: 2, ids, change, writers: [0] });
  await cluster.stop();
});
