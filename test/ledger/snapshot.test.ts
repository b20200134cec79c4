import test from 'ava';
import type { ExecutionContext } from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { actorOfPeer } from '#projections/members-rows.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { areIn, changeCommittee, joining, newcomer } from '#test/support/epochs.ts';
import { fill } from '#test/support/snapshots.ts';

/** A node far behind takes the certified state, and the log from there on. */

test('a fresh observer joins four validators by a snapshot and goes on with them', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 51 });
  await fill(cluster, 240, [0, 1, 2, 3], 4);
  const observer = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => observer.core.replica.fold.size === 240, 30_000));
  t.true(observer.core.replica.counters.finals < 240, 'not folded again');
  await fill(cluster, 8, [0, 1, 2, 3], 4);
  t.true(await cluster.until(() => cluster.haveFinal(248), 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.is(observer.core.log.at(248)?.entry.id, cluster.at(0).core.log.at(248)?.entry.id);
  t.throws(() => observer.core.log.at(3), { message: /log from number \d+ on/ });
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

/** Four validators at event 248, and an observer that has just started again with the first 8. */
async function leftBehind(t: ExecutionContext): Promise<SimCluster> {
  const cluster = await SimCluster.start({ validators: 4, seed: 54 });
  const observer = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  await fill(cluster, 8, [0, 1, 2, 3], 4);
  t.true(await cluster.until(() => observer.core.replica.fold.size === 8, 10_000));
  const rows = await cluster.crash(4);
  await fill(cluster, 240, [0, 1, 2, 3], 4);
  await cluster.restart(4, rows);
  return cluster;
}

test('while a snapshot is put in place members are who they were', async (t) => {
  const cluster = await leftBehind(t);
  const { core, store } = cluster.at(4);
  const write = store.write.bind(store);
  const seen: (string | undefined)[] = [];
  store.write = async (ops, options) => {
    await write(ops, options);
    // a row that nothing has read before
    if (!core.snapshots.isInstalling) return;
    seen.push(actorOfPeer(core.rows('members', 'final'), 'peer-2'));
  };
  t.true(await cluster.until(() => core.replica.fold.size === 248, 30_000));
  t.true(core.replica.counters.finals < 240, 'a snapshot was taken');
  t.true(seen.length > 1);
  t.deepEqual([...new Set(seen)], [cluster.net.validators[2]?.actor]);
  await fill(cluster, 8, [0, 1, 2, 3], 4);
  t.true(await cluster.until(() => cluster.haveFinal(256), 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('where a snapshot cannot be put in place, nobody is judged by half of it', async (t) => {
  const cluster = await leftBehind(t);
  const { core, store } = cluster.at(4);
  const write = store.write.bind(store);
  let isFull = false;
  store.write = async (ops, options) => {
    // what was is deleted; what comes does not fit
    const isPut = ops.some((op) => op.type === 'put' && op.key.startsWith('s/'));
    isFull ||= core.snapshots.isInstalling && isPut;
    if (isFull) throw new X0tError('store_failed', 'The disk is full.');
    await write(ops, options);
  };
  t.true(await cluster.until(() => cluster.at(4).failures.length > 0, 30_000), 'it ends');
  await cluster.run(2000);
  t.false([...store.rows.keys()].some((key) => key.startsWith('s/')), 'nothing is there');
  const owner = actorOfPeer(core.rows('members', 'final'), 'peer-2');
  t.is(owner, cluster.net.validators[2]?.actor, 'links are judged as before');
  t.true(core.snapshots.isInstalling, 'callers are refused');
  t.true(store.rows.has('a/install'), 'the next start goes on with it');
  const held = [...store.rows];
  await cluster.crash(4);
  await cluster.restart(4, held);
  t.true(await cluster.until(() => cluster.at(4).core.replica.fold.size === 248, 30_000));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('a snapshot is taken while events come in, and its tail is whole', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 52 });
  await fill(cluster, 300, [0], 3);
  const observer = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  await fill(cluster, 300, [0], 3);
  t.true(await cluster.until(() => observer.core.replica.fold.size === 600, 30_000));
  t.true(observer.core.replica.counters.finals < 400);
  t.is(new Set(cluster.summaries()).size, 1);
  const rows = [...observer.store.rows];
  await cluster.crash(1);
  await cluster.restart(1, rows);
  await fill(cluster, 30, [0], 3);
  t.true(await cluster.until(() => cluster.haveFinal(630), 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a snapshot at the end of an epoch, and one inside a later epoch', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 53 });
  await fill(cluster, 200, [0], 2);
  const second = await cluster.join('peer-1', newcomer(1));
  t.true(await cluster.until(() => cluster.haveFinal(200), 20_000));
  await changeCommittee(cluster, 0, [joining(second.who, 'peer-1')]);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  const one = await cluster.join('late-1', newcomer(2), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => one.core.replica.fold.size === 201, 30_000));
  t.is(one.core.replica.committee.epoch, 1);
  t.is(one.core.replica.counters.finals, 0, 'the end of the epoch was enough');
  await fill(cluster, 60, [0, 1], 4);
  t.true(await cluster.until(() => cluster.haveFinal(261), 10_000));
  const two = await cluster.join('late-2', newcomer(3), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => two.core.replica.fold.size === 261, 30_000));
  t.is(two.core.replica.committee.epoch, 1);
  await fill(cluster, 8, [0, 1], 4);
  t.true(await cluster.until(() => cluster.haveFinal(269), 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a power cut at any time of fetching and putting in place is recovered from', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 54, write_ms: 2 });
  await fill(cluster, 300, [0], 3);
  const observer = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  const stages = new Set<string>();
  for (let i = 0; i < 40 && observer.core.replica.fold.size < 300; i++) {
    await cluster.run(3 + 4 * i);
    // what the system wrote may be on the disk without having been asked for
    const rows = i % 2 === 0 ? [...observer.store.rows] : await cluster.crash(1);
    if (i % 2 === 0) await cluster.crash(1);
    stages.add([...rows].some(([key]) => key === 'a/install') ? 'sealed' : 'open');
    if ([...rows].some(([key]) => key.startsWith('i/'))) stages.add('staged');
    await cluster.restart(1, rows);
  }
  t.true(stages.has('staged'), [...stages].join());
  t.true(await cluster.until(() => observer.core.replica.fold.size === 300, 60_000));
  t.false([...observer.store.rows.keys()].some((key) => key.startsWith('i/')));
  await fill(cluster, 9, [0], 3);
  t.true(await cluster.until(() => cluster.haveFinal(309), 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});
