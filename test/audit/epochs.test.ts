import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { encode } from '#ledger/codec.ts';
import { storeKeys } from '#ledger/keys.ts';
import { auditCar, auditStore, exportCar } from '#node/audit/index.ts';
import { claimStore } from '#node/data-dir.ts';
import { rebuildProjections } from '#node/rebuild.ts';
import { schema } from '#projections/index.ts';
import { areIn, changeCommittee, joining, newcomer, showAtWork } from '#test/support/epochs.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** A log over several epochs is exported, audited and rebuilt as one. */

interface Log {
  readonly cluster: SimCluster;
  /** Of a validator that stayed, with the marks that a node's data directory gives a store. */
  readonly store: MemoryStore;
}

/** Three epochs: a fourth and a fifth validator join, one of them leaves, one store is marked. */
async function logOverEpochs(seed: number, isQuietEnd: boolean): Promise<Log> {
  const cluster = await SimCluster.start({ validators: 3, seed });
  const who = newcomer(0);
  await cluster.join('peer-3', who);
  await cluster.run(50);
  for (let i = 0; i < 5; i++) await cluster.put(i % 3, `k${i}`, 'v', i % 2 === 0);
  await changeCommittee(cluster, 0, [joining(who, 'peer-3')]);
  await cluster.until(() => areIn(cluster, 1), 10_000);
  for (let i = 0; i < 5; i++) await cluster.put(i % 4, `l${i}`, 'v', i % 2 === 0);
  await showAtWork(cluster, 3);
  await cluster.during(cluster.at(1).core.author('committee.leave/1', {}, true));
  await cluster.until(() => areIn(cluster, 2), 10_000);
  if (!isQuietEnd) await cluster.put(0, 'last');
  await cluster.run(3000);
  const store = new MemoryStore();
  await claimStore(store, cluster.net.chain);
  const rows = [...cluster.at(0).store.rows];
  await store.write(rows.map(([key, value]) => ({ type: 'put', key, value })));
  return { cluster, store };
}

for (const isQuietEnd of [false, true]) {
  const end = isQuietEnd ? 'the last without a block' : 'blocks in all';
  test(`an export and a store over three epochs pass the audit (${end})`, async (t) => {
    const { cluster, store } = await logOverEpochs(50, isQuietEnd);
    const { chain } = cluster.net;
    const directory = await mkdtemp(join(tmpdir(), 'x0t-epochs-'));
    const file = join(directory, 'log.car');
    const { manifest } = await exportCar({ store, chain, schema, file });
    t.is(manifest.epochs?.length, isQuietEnd ? 2 : 3);
    const ofFile = await auditCar(file, { schema, workers: 1, genesis: chain.id });
    t.deepEqual([ofFile.ok, ofFile.finding], [true, undefined]);
    t.is(ofFile.summary?.size, cluster.at(0).core.replica.fold.size);
    const ofStore = await auditStore(store, { schema, workers: 2 });
    t.deepEqual([ofStore.ok, ofStore.finding], [true, undefined]);
    await rm(directory, { recursive: true, force: true });
    await cluster.stop();
  });
}

test('what is changed about an epoch in a store is found', async (t) => {
  const { cluster, store } = await logOverEpochs(51, false);
  const rows = [...store.rows];
  const auditWith = async (change: (copy: Map<string, Uint8Array>) => void) => {
    const copy = new Map(rows);
    change(copy);
    const report = await auditStore(new MemoryStore(copy), { schema, workers: 1 });
    return report.finding?.code;
  };
  const blocks = rows.filter(([key]) => key.startsWith('b/'));
  const first = blocks.find(([key]) => key.startsWith('b/x00000001')) ?? ['', new Uint8Array()];
  t.is(await auditWith(() => undefined), undefined);
  t.is(await auditWith((copy) => copy.delete(storeKeys.epoch(1))), 'audit_row_differs');
  const start = storeKeys.epoch(2);
  t.is(await auditWith((copy) => copy.set(start, encode({}))), 'audit_row_differs');
  const swap = (copy: Map<string, Uint8Array>) =>
    copy.set(storeKeys.epoch(1), copy.get(start) as Uint8Array);
  t.is(await auditWith(swap), 'audit_row_differs');
  // a block under the key of another epoch
  t.is(
    await auditWith((copy) => {
      copy.set(first[0].replace('x00000001', 'x00000002'), first[1]);
    }),
    'foreign_committee',
  );
  // the epoch that would have ended did not
  const isLast = ([key]: readonly [string, unknown]) =>
    key.startsWith('b/') && !key.startsWith('b/x') && Number.parseInt(key.slice(2, 10), 16) > 3;
  t.is(
    await auditWith((copy) => rows.filter(isLast).forEach(([key]) => copy.delete(key))),
    'audit_epoch_open',
  );
  await cluster.stop();
});

test('a rebuild over three epochs gives the same state', async (t) => {
  const { cluster, store } = await logOverEpochs(52, false);
  const before = cluster.summaries([0]);
  const { chain } = cluster.net;
  const report = await rebuildProjections(store, chain, schema, undefined, { rows: 50, events: 3 });
  t.is(report.summary.stateRoot, cluster.at(0).core.replica.fold.summary().stateRoot);
  const audited = await auditStore(store, { schema, workers: 1 });
  t.deepEqual([audited.ok, audited.finding], [true, undefined]);
  await cluster.crash(0);
  await cluster.restart(0, store.rows);
  t.deepEqual(cluster.summaries([0]), before);
  t.true(areIn(cluster, 2));
  await cluster.stop();
});
