import test from 'ava';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { SimNode } from '#test/support/sim-cluster.ts';

/** What a cluster of cores does, on the fake network and in virtual time. */

const idsOf = ({ core }: SimNode): string[] =>
  [...core.log.range(1, 10_000)].map(({ entry, verdict }) => `${entry.id}/${verdict}`);

for (const n of [1, 2, 4, 7]) {
  test(`n=${n}: all nodes agree on the same log and state`, async (t) => {
    const cluster = await SimCluster.start({ validators: n, seed: n });
    for (let i = 0; i < 10; i++) {
      await cluster.put(i % n, `key-${i % 4}`, `${i}`, i % 2 === 0);
      await cluster.run(i * 3);
    }
    t.true(await cluster.until(() => cluster.haveFinal(10), 5000));
    await cluster.run(50);
    t.is(new Set(cluster.summaries()).size, 1);
    const logs = cluster.nodes.map((node) => idsOf(node).join());
    t.is(new Set(logs).size, 1);
    t.is(new Set(idsOf(cluster.at(0))).size, 10);
    t.true(idsOf(cluster.at(0)).every((one) => one.endsWith('/0')));
    t.deepEqual(cluster.troubles(), []);
    await cluster.stop();
  });
}

test('an idle network makes no block, before and after a burst', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  await cluster.run(20_000);
  t.is(cluster.sealed(), 0);
  await cluster.put(0, 'a');
  await cluster.run(2000);
  t.true(cluster.haveFinal(1));
  const sealed = cluster.sealed();
  const version = cluster.nodes.map(({ core }) => core.replica.roundClock.round);
  await cluster.run(60_000);
  t.is(cluster.sealed(), sealed);
  t.deepEqual(cluster.nodes.map(({ core }) => core.replica.roundClock.round), version);
  await cluster.stop();
});

for (const [n, most] of [[1, 3], [4, 16], [7, 29]] as const) {
  test(`n=${n}: an isolated event costs at most ${most} blocks`, async (t) => {
    const cluster = await SimCluster.start({ validators: n });
    for (let i = 0; i < 5; i++) {
      const before = cluster.sealed();
      await cluster.put(i % n, `k${i}`);
      await cluster.run(3000);
      t.true(cluster.haveFinal(i + 1));
      const cost = cluster.sealed() - before;
      t.true(cost <= most, `event ${i} cost ${cost} blocks`);
    }
    await cluster.stop();
  });
}

test('one validator down: the rest goes on, and waits for nobody', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, link: { delay_ms: [5, 5] } });
  await cluster.put(0, 'before');
  t.true(await cluster.until(() => cluster.haveFinal(1), 2000));
  await cluster.crash(3);
  for (let i = 0; i < 4; i++) {
    await cluster.put(i % 3, `k${i}`);
    t.true(await cluster.until(() => cluster.haveFinal(i + 2, [0, 1, 2]), 1000), `event ${i}`);
    await cluster.run(500);
  }
  t.is(new Set(cluster.summaries([0, 1, 2])).size, 1);
  await cluster.stop();
});

test('two of four apart: both sides accept, none finalises; healed, all is final', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 3 });
  await cluster.put(0, 'before');
  t.true(await cluster.until(() => cluster.haveFinal(1), 2000));
  cluster.hub.partition(['peer-0', 'peer-1'], ['peer-2', 'peer-3']);
  await cluster.run(10);
  const ids = new Set<string>();
  for (let i = 0; i < 8; i++) ids.add(await cluster.put(i % 4, `split-${i}`, `${i}`, true));
  await cluster.run(5000);
  t.true(cluster.haveFinal(1));
  const seen = (i: number, key: string): boolean =>
    cluster.at(i).core.rows('kv', 'accepted').get(key) !== undefined;
  t.true(seen(0, 'split-1') && seen(1, 'split-0') && seen(2, 'split-3') && seen(3, 'split-2'));
  t.false(seen(0, 'split-2') || seen(3, 'split-1'));
  const before = cluster.sealed();
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(9), 10_000));
  t.true(cluster.sealed() > before);
  await cluster.run(1000);
  t.is(new Set(cluster.summaries()).size, 1);
  for (const node of cluster.nodes) t.is(new Set(idsOf(node)).size, 9);
  for (const id of ids) t.true(idsOf(cluster.at(0)).includes(`${id}/0`));
  const quiet = cluster.sealed();
  await cluster.run(10_000);
  t.is(cluster.sealed(), quiet);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

for (const seed of [1, 2, 3]) {
  test(`10 % loss, duplicates and reordering: all becomes final (seed ${seed})`, async (t) => {
    const link = { delay_ms: [1, 40], loss: 0.1, duplicate: 0.1 } as const;
    const cluster = await SimCluster.start({ validators: 4, seed, link });
    for (let i = 0; i < 16; i++) {
      await cluster.put(i % 4, `k${i}`, 'v', i % 3 === 0);
      await cluster.run(25);
    }
    t.true(await cluster.until(() => cluster.haveFinal(16), 30_000));
    t.is(new Set(cluster.summaries()).size, 1);
    t.is(new Set(idsOf(cluster.at(2))).size, 16);
    t.deepEqual(cluster.troubles(), []);
    await cluster.stop();
  });
}

test('an observer submits, follows, and seals nothing', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, operators: 2 });
  const who = cluster.net.operators[0];
  if (!who) throw new Error('no operator');
  const observer = await cluster.join('watcher', who);
  await cluster.run(20);
  const id = await cluster.put(4, 'from-observer', 'x', true);
  const final = await cluster.during(observer.core.waitFinal(id, 5000));
  t.is(final?.verdict, 0);
  t.true(await cluster.until(() => cluster.haveFinal(1), 2000));
  t.is(observer.core.replica.counters.blocksSealed, 0);
  t.is(new Set(cluster.summaries()).size, 1);
  t.is(observer.core.replica.pool.size, 0);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
