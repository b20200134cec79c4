import test from 'ava';
import * as fc from 'fast-check';
import { hash } from 'node:crypto';
import { concatBytes } from '#ledger/ids.ts';
import * as keys from '#ledger/keys.ts';
import { LANE_WINDOW } from '#ledger/limits.ts';
import { MerkleLog, emptyRoot, leafHash, nodeHash, rootOf } from '#ledger/merkle.ts';
import { isFree, topOf, use } from '#ledger/replay.ts';
import { Overlay } from '#ledger/rows.ts';
import { StateHash } from '#ledger/state-hash.ts';
import { clamp, compareHlc, HybridClock } from '#ledger/hlc.ts';
import { codeIn } from '#test/support/codes.ts';
import { MemoryStore } from '#test/support/memory-store.ts';

/** The small structures under the state, against naive models. */

test('the replay window is a set with a sliding lower end', (t) => {
  const seq = fc.oneof(
    fc.nat({ max: 40 }),
    fc.nat({ max: 3 * LANE_WINDOW }),
    fc.integer({ min: Number.MAX_SAFE_INTEGER - 2000, max: Number.MAX_SAFE_INTEGER }),
  );
  fc.assert(
    fc.property(fc.array(seq, { maxLength: 120 }), (all) => {
      const used = new Set<number>();
      let row: Uint8Array | undefined;
      let top = -1;
      for (const one of all) {
        const wanted = !used.has(one) && one > top - LANE_WINDOW;
        if (isFree(row, one) !== wanted) return false;
        if (!wanted) continue;
        const before = row?.slice();
        const next = use(row, one);
        if (row && before && !row.every((byte, i) => byte === before[i])) return false;
        row = next;
        used.add(one);
        top = Math.max(top, one);
        if (topOf(row) !== top || row.length !== 8 + LANE_WINDOW / 8) return false;
      }
      for (let one = Math.max(0, top - LANE_WINDOW - 3); one <= top; one++) {
        if (isFree(row, one) !== (!used.has(one) && one > top - LANE_WINDOW)) return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test('the same numbers in any order give the same window', (t) => {
  const row = (all: readonly number[]): string =>
    all.reduce<Uint8Array | undefined>((one, seq) => use(one, seq), undefined)?.toHex() ?? '';
  t.is(row([1, 5, 3]), row([3, 1, 5]));
  t.is(row([1, 2000]), row([2000]), 'what left the window left no trace');
});

/** RFC 9162 section 2.1.1, by the letter. */
function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const sha = (...parts: Uint8Array[]): Uint8Array => hash('sha256', concatBytes(parts), 'buffer');
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return sha(Uint8Array.of(0), leaves[0] as Uint8Array);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha(Uint8Array.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

test('the Merkle log is the tree of RFC 9162 at every size, and goes on from its peaks', (t) => {
  const leaves = Array.from({ length: 70 }, (_, i) => Uint8Array.from({ length: i }, () => i));
  let log = new MerkleLog();
  for (const [n, leaf] of leaves.entries()) {
    const wanted = Buffer.from(naiveRoot(leaves.slice(0, n))).toString('hex');
    t.is(Buffer.from(log.root()).toString('hex'), wanted);
    t.is(Buffer.from(rootOf(leaves.slice(0, n).map(leafHash))).toString('hex'), wanted);
    if (n % 3 === 0) log = new MerkleLog(log.size, log.peaks);
    log.append(leafHash(leaf));
    t.is(log.size, n + 1);
  }
  t.is(Buffer.from(emptyRoot()).toString('hex'), hash('sha256', ''));
  t.is(
    codeIn(() => new MerkleLog(3, [emptyRoot()])),
    'store_corrupt',
  );
  t.notDeepEqual(
    leafHash(concatBytes([emptyRoot(), emptyRoot()])),
    nodeHash(emptyRoot(), emptyRoot()),
  );
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const rootHex = (state: StateHash): string => Buffer.from(state.root()).toString('hex');

function stateOf(rows: Iterable<readonly [string, string]>): StateHash {
  const state = new StateHash();
  for (const [key, value] of rows) state.replace(key, undefined, bytes(value));
  return state;
}

test('the state hash depends on the rows alone: not on order, path or saving', (t) => {
  const change = fc.tuple(
    fc.constantFrom('a', 'b', 'c', 'ab'),
    fc.option(fc.string({ maxLength: 3 }), { nil: undefined }),
    fc.constantFrom('none', 'root', 'save'),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const rows = new Map<string, string>();
      let state = new StateHash();
      for (const [key, value, then] of changes) {
        const before = rows.get(key);
        state.replace(
          key,
          before === undefined ? undefined : bytes(before),
          value === undefined ? undefined : bytes(value),
        );
        if (value === undefined) rows.delete(key);
        else rows.set(key, value);
        if (then === 'root') state.root();
        if (then === 'save') state = new StateHash(state.bytes());
      }
      return rootHex(state) === rootHex(stateOf([...rows].toReversed()));
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test('other rows have another state hash; key and value do not flow together', (t) => {
  const roots = [
    [],
    [['a', 'b']],
    [['b', 'a']],
    [['ab', '']],
    [['', 'ab']],
    [
      ['a', 'b'],
      ['c', ''],
    ],
    [['a', '']],
    [['ac', 'b']],
  ].map((rows) => rootHex(stateOf(rows as [string, string][]))) as [string, string, ...string[]];
  t.is(new Set(roots).size, roots.length);
  const state = stateOf([['a', 'b']]);
  t.true(state.isChanged);
  state.bytes();
  t.false(state.isChanged);
  state.replace('a', bytes('b'), bytes('b'));
  t.is(rootHex(state), roots[1]);
});

test('keys of the store sort as what they count', (t) => {
  const id = 'ab'.repeat(32);
  const sorted = (list: readonly string[]): boolean =>
    list.every((key, i) => i === 0 || (list[i - 1] as string) < key);
  const numbers = [0, 1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, 2 ** 31 - 1];
  const { storeKeys } = keys;
  t.true(sorted(numbers.map((n) => storeKeys.block({ round: n, author: 1, id }))));
  t.true(sorted(numbers.slice(0, 9).map((n) => storeKeys.block({ round: 1, author: n, id }))));
  t.true(sorted([...numbers, 2 ** 40].map(storeKeys.commit)));
  t.true(sorted([...numbers, 2 ** 40].map(storeKeys.final)));
  t.true(sorted(numbers.slice(0, 9).map((n) => storeKeys.lane(id, n))));
  for (const round of numbers) {
    t.true(storeKeys.block({ round, author: 0, id }).startsWith(storeKeys.blocksOfRound(round)));
  }
  const names = [
    storeKeys.fold,
    storeKeys.ownLast,
    storeKeys.stateHash('x'),
    storeKeys.coseKey(id),
    storeKeys.commit(1),
    storeKeys.final(1),
    storeKeys.finalOfEvent(id),
    storeKeys.pending(id),
    storeKeys.row('p', 'k'),
    storeKeys.lane(id, 1),
    storeKeys.laneCount(id),
    storeKeys.genesis,
    storeKeys.format,
    storeKeys.block({ round: 1, author: 1, id }),
  ];
  t.is(new Set(names).size, names.length);
  t.deepEqual(keys.prefixRange('b/'), { gte: 'b/', lt: 'b0' });
});

test('rows of the final log and numbers survive their bytes', (t) => {
  const id = 'ab'.repeat(32);
  const row = {
    id,
    verdict: 65_535,
    commit: 2 ** 40,
    block: { round: 2 ** 31 - 1, author: 127, id: 'cd'.repeat(32) },
    entry: 511,
  };
  t.deepEqual(keys.decodeFinalRow(keys.encodeFinalRow(row)), row);
  const shifted = new Uint8Array([9, ...keys.encodeFinalRow(row)]).subarray(1);
  t.deepEqual(keys.decodeFinalRow(shifted), row, 'also as a view');
  for (const n of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    t.is(keys.decodeNumber(keys.encodeNumber(n)), n);
  }
});

test('an overlay shows its changes until they are written, and hides deleted rows', (t) => {
  const overlay = new Overlay(
    new MemoryStore([
      ['a', Uint8Array.of(1)],
      ['b', Uint8Array.of(2)],
    ]),
  );
  overlay.put('a', Uint8Array.of(9));
  overlay.remove('b');
  t.deepEqual(overlay.get('a'), Uint8Array.of(9));
  t.is(overlay.get('b'), undefined);
  overlay.written();
  t.is(overlay.get('b'), undefined, 'nothing was handed over');
  t.deepEqual(overlay.ops(), [
    { type: 'put', key: 'a', value: Uint8Array.of(9) },
    { type: 'del', key: 'b' },
  ]);
  t.is(overlay.get('b'), undefined);
  overlay.written();
  t.deepEqual(overlay.get('b'), Uint8Array.of(2), 'reads fall through again');
  t.deepEqual(overlay.ops(), []);
});

test('the hybrid clock always goes on; others far ahead count as half a second ahead', (t) => {
  const clock = new HybridClock();
  const stamps = [100, 100, 50, 101, 0].map((wall_ms) => clock.next(wall_ms));
  t.deepEqual(stamps, [
    [100, 0],
    [100, 1],
    [100, 2],
    [101, 0],
    [101, 1],
  ]);
  const busy = new HybridClock();
  let last = busy.next(5);
  for (let i = 0; i < 70_000; i++) {
    const next = busy.next(5);
    if (compareHlc(last, next) >= 0 || next[1] > 0xffff) t.fail('it went back');
    last = next;
  }
  t.deepEqual(last, [6, 70_000 - 65_536]);
  t.deepEqual(clamp([2000, 7], 1000), [1500, 0]);
  t.deepEqual(clamp([1500, 7], 1000), [1500, 7]);
});
