import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import type { StoreOp } from '#ledger/ports.ts';
import { auditStore } from '#node/audit/index.ts';
import { assertNotRebuilding, rebuildProjections } from '#node/rebuild.ts';
import { schema } from '#projections/index.ts';
import { smallLog } from '#test/support/chain-builder.ts';
import { makeNet } from '#test/support/cluster.ts';
import { MemoryStore } from '#test/support/memory-store.ts';

/** A rebuild gives the same rows again, wherever it was interrupted. */

const builder = await smallLog(await makeNet(4, 2));
const { chain } = builder.net;
const before = new Map(builder.store.rows);

const sorted = (rows: ReadonlyMap<string, Uint8Array>) =>
  [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1));

/** Fails at its write number `writes_max`, as a process that is killed before it. */
class DyingStore extends MemoryStore {
  writes = 0;
  writes_max = Number.POSITIVE_INFINITY;

  override async write(ops: readonly StoreOp[]): Promise<void> {
    if (this.writes >= this.writes_max) throw new Error('killed');
    this.writes += 1;
    await super.write(ops);
  }
}

test('a rebuild restores every derived row, and the store passes its audit', async (t) => {
  const store = new DyingStore(before);
  const phases: string[] = [];
  const report = await rebuildProjections(store, chain, schema, ({ phase }) => phases.push(phase));
  t.deepEqual(sorted(store.rows), sorted(before));
  t.deepEqual(report.summary, builder.summary);
  // A round without its leader makes one less, and keys decide who leads.
  t.is(report.commits, [...before.keys()].filter((key) => key.startsWith('c/')).length);
  t.false(report.isResumed);
  t.true(phases.includes('drop') && phases.includes('fold'));
  const { ok, finding } = await auditStore(store, { schema, workers: 1 });
  t.true(ok, JSON.stringify(finding));
});

test('killed before any write, the next run finishes it; no node starts between', async (t) => {
  const whole = new DyingStore(before);
  await rebuildProjections(whole, chain, schema, undefined, { rows: 5, events: 1 });
  t.true(whole.writes > 12);
  for (let writes = 0; writes < whole.writes; writes++) {
    const store = new DyingStore(before);
    store.writes_max = writes;
    const small = { rows: 5, events: 1 };
    await t.throwsAsync(rebuildProjections(store, chain, schema, undefined, small), {
      message: 'killed',
    });
    if (writes > 0) {
      t.throws(() => assertNotRebuilding(store), { code: 'rebuild_interrupted' });
      const { finding } = await auditStore(store, { schema, workers: 1 });
      t.is(finding?.code, 'rebuild_interrupted');
    }
    store.writes_max = Number.POSITIVE_INFINITY;
    const report = await rebuildProjections(store, chain, schema, undefined, small);
    t.is(report.isResumed, writes > 0);
    t.deepEqual(sorted(store.rows), sorted(before), `killed before write ${writes}`);
    t.notThrows(() => assertNotRebuilding(store));
  }
});

test('rows that were changed are mended, and a changed digest is named', async (t) => {
  const store = new DyingStore(before);
  for await (const [key] of builder.store.range(prefixRange('s/kv/'))) {
    store.rows.set(key, new Uint8Array(3));
  }
  const digest = Uint8Array.from(store.get(storeKeys.stateHash('kv')) as Uint8Array);
  digest[7] = (digest[7] as number) ^ 1;
  store.rows.set(storeKeys.stateHash('kv'), digest);
  const error = await t.throwsAsync(rebuildProjections(store, chain, schema), {
    code: 'rebuild_differs',
  });
  t.is((error as unknown as { data: { part: string } }).data.part, 'projection kv');
  t.deepEqual(sorted(store.rows), sorted(before));
});

test('damaged commits and blocks stop it, and the mark stays', async (t) => {
  const [commit, next] = [storeKeys.commit(3), storeKeys.commit(4)];
  const damages: readonly ((store: MemoryStore) => void)[] = [
    (store) => store.rows.delete(commit),
    (store) => store.rows.set(commit, store.get(next) as Uint8Array),
    (store) => store.rows.set(commit, new Uint8Array(5)),
  ];
  for (const damage of damages) {
    const store = new DyingStore(before);
    damage(store);
    const error = await t.throwsAsync(rebuildProjections(store, chain, schema));
    t.not(codeOf(error), 'internal');
    t.throws(() => assertNotRebuilding(store), { code: 'rebuild_interrupted' });
  }
});

test('a store without commits is rebuilt to its start', async (t) => {
  const store = new MemoryStore();
  const { summary } = await rebuildProjections(store, chain, schema);
  t.is(summary.size, 0);
  t.is(store.rows.size, 0);
});
