import test from 'ava';
import type { TestActor } from '#test/support/cluster.ts';
import { areIn, differing, logOf } from '#test/support/epochs.ts';
import { freshKey, rotate } from '#test/support/rotations.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { Rows } from '#test/support/sim-cluster.ts';

/** Power cuts around a rotation: whenever it happens, one key signs in one epoch, and one block. */

/** The slots in which two different blocks stand, over all stores; rounds count per epoch. */
function doubledSlots(stores: readonly Rows[]): string[] {
  const ids = new Map<string, Set<string>>();
  for (const rows of stores) {
    for (const [key] of rows) {
      if (!key.startsWith('b/')) continue;
      const slot = key.slice(0, -64);
      ids.set(slot, (ids.get(slot) ?? new Set()).add(key));
    }
  }
  return [...ids].filter(([, found]) => found.size > 1).map(([slot]) => slot);
}

for (let round = 0; round < 3; round++) {
  test(`the power of who rotates fails at any time around it (${round})`, async (t) => {
    const next = freshKey(`crash ${round}`);
    const keys = new Map([[next.id, next]]);
    const cluster = await SimCluster.start({ validators: 4, seed: 70 + round, write_ms: 3, keys });
    const victim = round + 1;
    const who = cluster.net.validators[victim] as TestActor;
    const stores: Rows[] = [];
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push(await cluster.put(i, `k${i}`));
    ids.push(await rotate(cluster, round === 0 ? victim : 0, who, who, next));
    for (let i = 0; i < 12; i++) {
      await cluster.run(7 + 3 * round);
      if (i % 3 === 0) ids.push(await cluster.put((victim + 1 + (i % 3)) % 4, `l${i}`));
      stores.push([...cluster.at(victim).store.rows]);
      const rows = await cluster.crash(victim);
      await cluster.run(i);
      await cluster.restart(victim, rows);
    }
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
  const validators = 3;
  const seed = 75;
  const next = freshKey('at every write');
  const keys = new Map([[next.id, next]]);
  const cluster = await SimCluster.start({ validators, seed, keys });
  const who = cluster.net.validators[2] as TestActor;
  const ids = [await cluster.put(0, 'before'), await cluster.put(2, 'before too')];
  t.true(await cluster.until(() => cluster.haveFinal(2), 3000));
  const instants: Rows[][] = [];
  for (const { store } of cluster.nodes) {
    const write = store.write.bind(store);
    store.write = async (ops, options) => {
      await write(ops, options);
      instants.push(cluster.nodes.map((node) => node.store.survivors()));
    };
  }
  ids.push(await rotate(cluster, 2, who, who, next));
  await cluster.put(2, 'bare', 'x', false);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  ids.push(await cluster.put(2, 'after'));
  t.true(await cluster.until(() => cluster.haveFinal(5), 5000));
  const isKept = (kept: readonly Rows[], id: string): boolean =>
    kept.some((rows) => [...rows].some(([key]) => key === `p/${id}` || key === `e/${id}`));
  let between = 0;
  for (const [i, kept] of instants.entries()) {
    if (i % 3 !== 0) continue;
    const again = await SimCluster.start({ validators, seed, keys }, [0, 1, 2]);
    for (const [at, rows] of kept.entries()) {
      await again.join(`peer-${at}`, again.net.validators[at] as TestActor, rows);
    }
    if (again.nodes.some(({ core }) => core.replica.orderer.isEnded)) between += 1;
    const acknowledged = ids.filter((id) => isKept(kept, id));
    await again.run(100);
    acknowledged.push(await again.put(0, 'again'), await again.put(2, 'and the one'));
    const isDone = () => acknowledged.every((id) => again.at(1).core.log.finalEvent(id));
    t.true(await again.until(isDone, 10_000), `instant ${i}`);
    const hasChanged = again.at(1).core.log.finalEvent(ids[2] ?? '') !== undefined;
    t.true(await again.until(() => areIn(again, hasChanged ? 1 : 0), 10_000), `instant ${i}`);
    await again.run(300);
    t.is(new Set(again.summaries()).size, 1, `instant ${i}`);
    t.is(again.nodes.reduce((n, { core }) => n + core.replica.counters.equivocations, 0), 0);
    await again.stop();
  }
  t.true(instants.length > 20 && between > 0, `${instants.length} writes, ${between} between`);
  await cluster.stop();
});
