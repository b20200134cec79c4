import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CarReader } from '@ipld/car/reader';
import test from 'ava';
import { encodeManifest, decodeManifest } from '#ledger/audit/manifest.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import { prefixRange } from '#ledger/keys.ts';
import { auditCar, exportCar } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
import { ChainBuilder, smallLog } from '#test/support/chain-builder.ts';
import { makeNet } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { assemble, exportSample, partsOf } from './support.ts';
import type { Part } from './support.ts';

/** An export holds the whole log in one order; what is left out, added or moved is found. */

const builder = await smallLog(await makeNet(4, 2));
const sample = await exportSample(builder);
const parts = partsOf(sample);
test.after.always(() => sample.remove());

const auditParts = async (changed: readonly Part[]) => sample.audit(await assemble(changed));

function withManifest(change: Partial<Manifest>): Part[] {
  const [first, ...rest] = parts as [Part, ...Part[]];
  const manifest = { ...decodeManifest(first.content), ...change };
  return [{ kind: 'manifest', content: encodeManifest(manifest) }, ...rest];
}

test('an audit repeats the whole log and reports what it did', async (t) => {
  const progress: number[] = [];
  const report = await sample.audit(sample.bytes, { progress: ({ done }) => progress.push(done) });
  t.true(report.ok);
  t.deepEqual(report.summary, builder.summary);
  t.is(report.blocks, 35);
  t.is(report.events, 9);
  t.is(report.reported?.commit.index, report.commits);
  t.is(progress.at(-1), sample.bytes.length);
});

test('equal stores give equal files, and any CAR reader reads them', async (t) => {
  const again = await exportSample(builder);
  t.deepEqual(again.bytes, sample.bytes);
  await again.remove();
  const reader = await CarReader.fromBytes(sample.bytes);
  let count = 0;
  for await (const _ of reader.blocks()) count += 1;
  t.is(count, sample.sections.length);
});

test('an empty log is exported and audited', async (t) => {
  const empty = await exportSample(await ChainBuilder.start(await makeNet(1, 0)));
  const report = await empty.audit(empty.bytes);
  t.true(report.ok);
  t.is(report.signatures, 0);
  await empty.remove();
});

test('a file that is there is not written over', async (t) => {
  const file = join(sample.directory, 'taken.car');
  await writeFile(file, 'mine');
  const { store, net } = builder;
  const options = { store, chain: net.chain, schema, file };
  await t.throwsAsync(exportCar(options), { code: 'export_exists' });
  t.is(await readFile(file, 'utf8'), 'mine');
  const lost = { ...options, file: join(sample.directory, 'no', 'such', 'directory.car') };
  await t.throwsAsync(exportCar(lost), { code: 'export_failed' });
});

test('an export of a damaged store fails and leaves no file', async (t) => {
  const store = new MemoryStore(builder.store.rows);
  for await (const [key] of store.range(prefixRange('k/'))) store.rows.delete(key);
  const file = join(sample.directory, 'damaged.car');
  const options = { store, chain: builder.net.chain, schema, file };
  await t.throwsAsync(exportCar(options), { code: 'store_corrupt' });
  await t.throwsAsync(readFile(`${file}.partial`), { code: 'ENOENT' });
  await t.throwsAsync(readFile(file), { code: 'ENOENT' });
});

test('a store that takes blocks meanwhile makes no export', async (t) => {
  const store = new MemoryStore(builder.store.rows);
  const { net } = builder;
  const other = await ChainBuilder.start(net);
  await other.addRound();
  const rows = [...other.store.rows].filter(([key]) => key.startsWith('b/'));
  const file = join(sample.directory, 'moving.car');
  const progress = ({ done }: { done: number }) => {
    if (done === 1) for (const [key, value] of rows) store.rows.set(key, value);
  };
  const late: Pick<MemoryStore, 'get' | 'range'> = {
    get: (key) => store.get(key),
    async *range(range) {
      for (const key of [...store.rows.keys()].toSorted()) {
        if (key >= range.gte && key < range.lt) yield [key, store.rows.get(key) as Uint8Array];
      }
      if (store.rows.size > builder.store.rows.size) yield* rows;
    },
  };
  const options = { store: late, chain: net.chain, schema, file, progress };
  await t.throwsAsync(exportCar(options), { code: 'export_changed' });
});

test('the pinned chain must be the one in the file', async (t) => {
  const right = await sample.audit(sample.bytes, { genesis: builder.net.chain.id });
  t.true(right.ok);
  const wrong = await sample.audit(sample.bytes, { genesis: '00'.repeat(32) });
  t.is(wrong.finding?.code, 'audit_other_network');
});

test('a manifest that lies about the state is found', async (t) => {
  const zero = '00'.repeat(32);
  const { projections, commit } = decodeManifest((parts[0] as Part).content);
  const lies: readonly (readonly [Partial<Manifest>, string])[] = [
    [{ size: builder.summary.size + 1 }, 'audit_state_differs'],
    [{ logRoot: zero }, 'audit_state_differs'],
    [{ stateRoot: zero }, 'audit_state_differs'],
    [{ projections: projections.map((one) => ({ ...one, root: zero })) }, 'audit_state_differs'],
    [{ projections: projections.slice(1) }, 'audit_state_differs'],
    [{ commit: { ...commit, id: zero } }, 'audit_commit_differs'],
    [{ commit: { index: commit.index + 1, id: zero } }, 'audit_commit_missing'],
    [{ blocks: 36 }, 'car_truncated'],
    [{ blocks: 34 }, 'car_trailing_bytes'],
    [{ keys: 3 }, 'car_truncated'],
    [{ chain: zero }, 'audit_other_network'],
  ];
  for (const [lie, code] of lies) {
    const { finding } = await auditParts(withManifest(lie));
    t.is(finding?.code, code, JSON.stringify(lie));
  }
});

test('an earlier state than the blocks decide is audited at its own commit', async (t) => {
  const early = await ChainBuilder.start(builder.net);
  const [first] = builder.net.operators as [TestActor];
  const event = await early.event(first, 1);
  await early.addRound((author) => (author === 0 ? [event] : []));
  for (let round = 0; round < 4; round++) await early.addRound();
  const derived = [...early.store.rows].filter(([key]) => !/^[bk]\//.test(key));
  for (let round = 0; round < 4; round++) await early.addRound();
  const store = new MemoryStore([
    ...[...early.store.rows].filter(([key]) => /^[bk]\//.test(key)),
    ...derived,
  ]);
  const file = join(sample.directory, 'early.car');
  await exportCar({ store, chain: builder.net.chain, schema, file });
  const report = await auditCar(file, { schema, workers: 1 });
  t.true(report.ok, JSON.stringify(report.finding));
  t.true(report.commitsBeyond >= 3);
  await rm(file);
});

test('sections that are missing, doubled, moved or strange are found', async (t) => {
  const without = (at: number) => parts.toSpliced(at, 1);
  const firstBody = parts.findIndex(({ kind }) => kind === 'body');
  const firstKey = parts.findIndex(({ kind }) => kind === 'key');
  const block = parts.slice(-2);
  const [first] = builder.net.validators as [TestActor];
  const strange: readonly (readonly [string, readonly Part[], readonly string[]])[] = [
    ['no genesis', without(1), ['car_unexpected_section']],
    ['no body', without(firstBody), ['bad_body_section', 'car_unexpected_section']],
    ['no header', without(firstBody - 1), ['bad_body_section']],
    ['no key', without(firstKey), ['unknown_key']],
    [
      'a key twice',
      parts.toSpliced(firstKey, 0, parts[firstKey] as Part),
      ['car_unexpected_section'],
    ],
    [
      'a key after its block',
      parts.toSpliced(firstBody + 1, 0, parts[firstKey] as Part).toSpliced(firstKey, 1),
      ['unknown_key'],
    ],
    [
      'a key that no block uses',
      parts.toSpliced(firstKey, 0, { kind: 'key', content: first.coseKey }),
      ['car_unexpected_section'],
    ],
    [
      'two blocks changed places',
      [...parts.slice(0, -4), ...block, ...parts.slice(-4, -2)],
      ['audit_order'],
    ],
    [
      'a block left out and another doubled',
      [...parts.slice(0, -4), ...block, ...block],
      ['audit_order'],
    ],
    [
      'a parent left out',
      [...parts.toSpliced(-10, 2), ...block],
      ['audit_missing_parent', 'audit_order'],
    ],
  ];
  for (const [name, changed, codes] of strange) {
    const { finding } = await auditParts(changed);
    t.true(codes.includes(finding?.code ?? ''), `${name}: ${JSON.stringify(finding)}`);
    t.is(typeof finding?.place.kind, 'string');
  }
});

test('what is no export at all is refused', async (t) => {
  const missing = auditCar(join(sample.directory, 'none.car'), { schema });
  await t.throwsAsync(missing, { code: 'audit_read_failed' });
  const empty = await sample.audit(new Uint8Array(0));
  t.is(empty.finding?.code, 'car_bad_header');
  const text = await sample.audit(new TextEncoder().encode('x'.repeat(1000)));
  t.is(text.finding?.code, 'car_bad_header');
});
