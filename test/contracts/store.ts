/**
 * The contract of `BlockStore` (`ledger/ports.ts`): one suite for the one in memory and LevelDB.
 */
import type { TestFn } from 'ava';
import { prefixRange } from '#ledger/keys.ts';
import type { BlockStore, StoreOp, StoreRange } from '#ledger/ports.ts';

/** Opens a store on `place`; the same place again after `close` gives the same rows. */
export type OpenStore = (place: string) => Promise<BlockStore>;

const bytes = (...all: number[]): Uint8Array => Uint8Array.from(all);
const put = (key: string, ...value: number[]): StoreOp => ({
  type: 'put',
  key,
  value: bytes(...value),
});
const del = (key: string): StoreOp => ({ type: 'del', key });
const soft = { sync: false };

async function keysIn(store: BlockStore, range: StoreRange): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of store.range(range)) keys.push(key);
  return keys;
}

export function storeContract(test: TestFn, name: string, open: OpenStore): void {
  const all = { gte: '', lt: '\u{10FFFF}' };

  test(`${name}: what is written is read back; a missing key is undefined`, async (t) => {
    const store = await open(t.title);
    t.is(store.get('a'), undefined);
    const large = new Uint8Array(300_000).fill(7);
    const longest: StoreOp = { type: 'put', key: 'l', value: large };
    await store.write([put('a', 1, 2), put('empty'), longest], soft);
    t.deepEqual(plain(store.get('a')), bytes(1, 2));
    t.deepEqual(plain(store.get('empty')), bytes());
    t.true(Buffer.from(large).equals(store.get('l') ?? bytes()));
    await store.write([put('a', 3), del('empty'), del('never there')], { sync: true });
    t.deepEqual(plain(store.get('a')), bytes(3));
    t.is(store.get('empty'), undefined);
    await store.close();
  });

  test(`${name}: the last operation on a key in a batch wins`, async (t) => {
    const store = await open(t.title);
    const ops = [put('a', 1), put('a', 2), put('b', 1), del('b'), del('c'), put('c', 9)];
    await store.write(ops, soft);
    t.deepEqual(plain(store.get('a')), bytes(2));
    t.is(store.get('b'), undefined);
    t.deepEqual(plain(store.get('c')), bytes(9));
    await store.write([], { sync: true });
    await store.close();
  });

  test(`${name}: what is frozen stays as it was`, async (t) => {
    const store = await open(t.title);
    await store.write([put('a', 1), put('b', 1)], soft);
    const frozen = store.frozen();
    await store.write([put('a', 2), del('b'), put('c', 3)], soft);
    t.deepEqual(plain(frozen.get('a')), bytes(1));
    t.deepEqual(plain(frozen.get('b')), bytes(1));
    t.is(frozen.get('c'), undefined);
    await frozen.close();
    t.deepEqual(plain(store.get('a')), bytes(2));
    await store.close();
  });

  test(`${name}: writes apply in the order of the calls, awaited or not`, async (t) => {
    const store = await open(t.title);
    const writes = Array.from({ length: 50 }, (_, i) =>
      store.write([put('x', i), put(`k${i}`, i), ...(i > 0 ? [del(`k${i - 1}`)] : [])], {
        sync: i % 10 === 0,
      }),
    );
    await Promise.all(writes);
    t.deepEqual(plain(store.get('x')), bytes(49));
    t.deepEqual(await keysIn(store, { gte: 'k', lt: 'l' }), ['k49']);
    await store.close();
  });

  test(`${name}: a range is in key order, ends before its end, reversed and short`, async (t) => {
    const store = await open(t.title);
    const keys = ['a', 'a/0', 'a/1', 'a/10', 'a/2', 'b', 'b/00000001/x', 'b/00000002/x', 'b0'];
    await store.write(
      keys.toReversed().map((key) => put(key, key.length)),
      soft,
    );
    t.deepEqual(await keysIn(store, all), keys);
    t.deepEqual(await keysIn(store, prefixRange('a/')), ['a/0', 'a/1', 'a/10', 'a/2']);
    t.deepEqual(await keysIn(store, { gte: 'a/1', lt: 'b' }), ['a/1', 'a/10', 'a/2']);
    t.deepEqual(await keysIn(store, { ...prefixRange('b/'), reverse: true }), [
      'b/00000002/x',
      'b/00000001/x',
    ]);
    t.deepEqual(await keysIn(store, { ...all, limit: 2 }), ['a', 'a/0']);
    t.deepEqual(await keysIn(store, { ...all, limit: 2, reverse: true }), ['b0', 'b/00000002/x']);
    t.deepEqual(await keysIn(store, { ...all, limit: 0 }), []);
    t.deepEqual(await keysIn(store, { gte: 'c', lt: 'd' }), []);
    t.deepEqual(await keysIn(store, { gte: 'b', lt: 'b' }), []);
    for await (const [key, value] of store.range(all)) t.deepEqual(plain(value), bytes(key.length));
    await store.close();
  });

  test(`${name}: keys of any text are apart and come back as they are`, async (t) => {
    const store = await open(t.title);
    const names = ['', 'ä', 'a\u0308', '日本', 'a\u0000b', '\n', 'a'];
    const keys = names.map((one) => `s/kv/${one}`);
    await store.write(
      keys.map((key, i) => put(key, i)),
      soft,
    );
    for (const [i, key] of keys.entries()) t.deepEqual(plain(store.get(key)), bytes(i));
    t.deepEqual((await keysIn(store, prefixRange('s/kv/'))).toSorted(), keys.toSorted());
    await store.close();
  });

  test(`${name}: a range is a snapshot of the call`, async (t) => {
    const store = await open(t.title);
    await store.write([put('a', 1), put('b', 1), put('c', 1)], soft);
    const rows = store.range(all)[Symbol.asyncIterator]();
    const first = await rows.next();
    await store.write([del('b'), put('c', 2), put('d', 1)], soft);
    const rest: string[] = [];
    for (let next = await rows.next(); next.done !== true; next = await rows.next()) {
      rest.push(`${next.value[0]}${next.value[1][0]}`);
    }
    t.is(first.done === true ? '' : first.value[0], 'a');
    t.deepEqual(rest, ['b1', 'c1']);
    await store.close();
  });

  test(`${name}: a range is of the time of the call, also when it is read later`, async (t) => {
    const store = await open(t.title);
    await store.write([put('a', 1), put('b', 1)], soft);
    const rows = store.range(all);
    await store.write([put('a', 2), del('b'), put('c', 1)], soft);
    const read: string[] = [];
    for await (const [key, value] of rows) read.push(`${key}${value[0]}`);
    t.deepEqual(read, ['a1', 'b1']);
    await store.close();
  });

  test(`${name}: a range may be left early`, async (t) => {
    const store = await open(t.title);
    await store.write(
      Array.from({ length: 3000 }, (_, i) => put(`k${1000 + i}`, 1)),
      soft,
    );
    for await (const [key] of store.range(all)) {
      t.is(key, 'k1000');
      break;
    }
    t.is((await keysIn(store, all)).length, 3000);
    await store.close();
  });

  test(`${name}: what was written is there when the place is opened again`, async (t) => {
    const store = await open(t.title);
    await store.write([put('a', 1), put('b', 2)], { sync: true });
    await store.write([del('a'), put('c', 3)], soft);
    await store.close();
    const again = await open(t.title);
    t.deepEqual(await keysIn(again, all), ['b', 'c']);
    await again.close();
  });
}

/** Without the class: a store may give a Buffer. */
function plain(value: Uint8Array | undefined): Uint8Array | undefined {
  return value && Uint8Array.from(value);
}
