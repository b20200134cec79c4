import test from 'ava';
import type { TestActor } from '#test/support/cluster.ts';
import { areIn, differing, logOf } from '#test/support/epochs.ts';
import { assertAllGoOn, cutAgain, doubledSlots, survivorsOf } from '#test/support/power-cuts.ts';
import { freshKey, rotate } from '#test/support/rotations.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** Power cuts around a rotation: whenever it happens, one key signs in one epoch, and one block. */

for (let round = 0; round < 3; round++) {
  test(`the power of who rotates fails at any time around it (${round})`, async (t) => {
    const next = freshKey(`crash ${round}`);
    const keys = new Map([[next.id, next]]);
    const cluster = await SimCluster.start({ validators: 4, seed: 70 + round, write_ms: 3, keys });
    const victim = round + 1;
    const who = cluster.net.validators[victim] as TestActor;
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push(await cluster.put(i, `k${i}`));
    ids.push(await rotate(cluster, round === 0 ? victim : 0, who, who, next));
    const stores = await cutAgain(cluster, victim, 7 + 3 * round, ids);
    t.true(await cluster.until(() => cluster.haveFinal(ids.length), 30_000));
    t.deepEqual(logOf(cluster.at(0)).toSorted(), ids.toSorted());
    t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
    await cluster.put(victim, 'last', 'x', false);
    t.true(await cluster.until(() => cluster.haveFinal(ids.length + 1), 10_000));
    t.is(cluster.at(victim).core.replica.committee.keyIdAt(victim), next.id);
    t.is(new Set(cluster.summaries()).size, 1);
    t.deepEqual(differing(cluster), []);
    for (const { store } of cluster.nodes) stores.push(store.rows);
    t.deepEqual(doubledSlots(stores), []);
    await cluster.stop();
  });
}

test('all nodes lose power at every write around a rotation', async (t) => {
  const next = freshKey('at every write');
  const keys = new Map([[next.id, next]]);
  const options = { validators: 3, seed: 75, keys };
  const cluster = await SimCluster.start(options);
  const who = cluster.net.validators[2] as TestActor;
  const ids = [await cluster.put(0, 'before'), await cluster.put(2, 'before too')];
  t.true(await cluster.until(() => cluster.haveFinal(2), 3000));
  const instants = survivorsOf(cluster);
  const change = await rotate(cluster, 2, who, who, next);
  ids.push(change);
  await cluster.put(2, 'bare', 'x', false);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  ids.push(await cluster.put(2, 'after'));
  t.true(await cluster.until(() => cluster.haveFinal(5), 5000));
  await assertAllGoOn(t, { options, instants, every: 3, ids, change, writers: [0, 2] });
  await cluster.stop();
});
