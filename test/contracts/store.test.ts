import test from 'ava';
import { execFile } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LevelStore } from '#node/store.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { DurableStore } from '#test/support/durable-store.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { storeContract } from './store.ts';

const root = await mkdtemp(join(tmpdir(), 'x0t-store-'));
test.after.always(() => rm(root, { recursive: true, force: true }));

const held = new Map<string, MemoryStore>();
storeContract(test, 'memory', async (place) => {
  const store = new MemoryStore(held.get(place)?.rows);
  held.set(place, store);
  return store;
});

const durable = new Map<string, DurableStore>();
storeContract(test, 'memory with power cuts', async (place) => {
  const store = new DurableStore(new VirtualClock(0), 0, durable.get(place)?.rows);
  durable.set(place, store);
  return store;
});

const places = new Map<string, string>();
storeContract(test, 'level', async (place) => {
  const directory = places.get(place) ?? join(root, `${places.size}`);
  places.set(place, directory);
  return LevelStore.open(directory);
});

test('level: a second opener is told who has the directory, and harms nothing', async (t) => {
  const directory = join(root, 'locked');
  const store = await LevelStore.open(directory);
  await store.write([{ type: 'put', key: 'a', value: Uint8Array.of(1) }], { sync: true });
  t.is(await codeOfPromise(LevelStore.open(directory)), 'data_dir_locked');
  t.deepEqual(Uint8Array.from(store.get('a') ?? []), Uint8Array.of(1));
  await store.close();
  const again = await LevelStore.open(directory);
  t.truthy(again.get('a'));
  await again.close();
});

test('level: a directory that is none fails with a code', async (t) => {
  const file = join(root, 'a-file');
  await writeFile(file, 'x');
  t.is(await codeOfPromise(LevelStore.open(file)), 'store_failed');
});

test('level: what was deleted gives its disk back when it is compacted', async (t) => {
  const directory = join(root, 'compacted');
  const store = await LevelStore.open(directory);
  const bytes = (): number =>
    readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  const keys = Array.from({ length: 400 }, (_, i) => `b/${1000 + i}`);
  for (const key of keys) {
    const value = crypto.getRandomValues(new Uint8Array(50_000));
    await store.write([{ type: 'put', key, value }], { sync: false });
  }
  t.true(bytes() > 15_000_000);
  await store.write(keys.slice(1).map((key) => ({ type: 'del', key })), { sync: false });
  await store.compact('b/', 'c/');
  t.true(bytes() < 10_000_000, `${bytes()}`);
  t.truthy(store.get('b/1000'));
  await store.close();
});

test('level: after a failed write it takes no more', async (t) => {
  const store = await LevelStore.open(join(root, 'closed'));
  await store.close();
  const write = () =>
    store.write([{ type: 'put', key: 'a', value: Uint8Array.of(1) }], { sync: false });
  t.is(await codeOfPromise(write()), 'store_failed');
  t.is(await codeOfPromise(write()), 'store_failed');
});

test('level: a process killed right after a sync write leaves all of it', async (t) => {
  const directory = join(root, 'killed');
  const script = `
    import { LevelStore } from '#node/store.ts';
    const store = await LevelStore.open(process.argv[1]);
    const put = (key) => ({ type: 'put', key, value: new Uint8Array(1000) });
    const batch = (n) => Array.from({ length: 50 }, (_, i) => put('batch-' + n + '-' + i));
    for (let n = 0; n < 5; n++) await store.write(batch(n), { sync: n === 4 });
    void store.write(batch(5), { sync: false });
    process.kill(process.pid, 'SIGKILL');
  `;
  const run = promisify(execFile);
  const args = ['--input-type=module', '--eval', script, directory];
  const error = await t.throwsAsync(run(process.execPath, args, { cwd: process.cwd() }));
  t.is((error as unknown as { signal?: string }).signal, 'SIGKILL');
  const store = await LevelStore.open(directory);
  const counts = new Map<string, number>();
  for await (const [key] of store.range({ gte: 'batch-', lt: 'batch.' })) {
    const batch = key.split('-')[1] ?? '';
    counts.set(batch, (counts.get(batch) ?? 0) + 1);
  }
  for (const n of [0, 1, 2, 3, 4]) t.is(counts.get(`${n}`), 50);
  t.true([undefined, 50].includes(counts.get('5')), 'a batch is there whole or not at all');
  await store.close();
});
