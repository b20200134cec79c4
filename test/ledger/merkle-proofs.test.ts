import test from 'ava';
import * as fc from 'fast-check';
import { LogTree, completeTree, finalLeaf } from '#ledger/log-tree.ts';
import { verifyConsistency, verifyInclusion } from '#ledger/merkle-proof.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import * as rfc from '#test/support/rfc9162.ts';
import { HandFold, ada, put } from './fold-support.ts';

/** A log of 300 events, as a node folds it, and its leaves. */
const hand = new HandFold();
const leaves: Uint8Array[] = [];
for (let i = 0; i < 30; i++) {
  const finals = hand.apply([Array.from({ length: 10 }, (_, j) => put(ada, i * 10 + j, `${j}`))]);
  for (const { entry, verdict } of finals) {
    leaves.push(Uint8Array.of(...Buffer.from(entry.id, 'hex'), verdict >> 8, verdict & 255));
  }
  await hand.write();
}
const tree = new LogTree(hand.store);
const same = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((one, i) => Buffer.compare(one, b[i] as Uint8Array) === 0);
const sizes = fc.integer({ min: 1, max: leaves.length });

test('the stored tree gives the roots and paths of RFC 9162, and they verify', (t) => {
  t.is(leaves.length, 300);
  fc.assert(
    fc.property(sizes, fc.nat(), (size, any) => {
      const index = any % size;
      const data = leaves.slice(0, size);
      const root = rfc.mth(data);
      const path = tree.inclusion(index, size);
      const leaf = rfc.mth(data.slice(index, index + 1));
      return (
        same([tree.rootAt(size)], [root]) &&
        same(path, rfc.path(index, data)) &&
        verifyInclusion(leaf, index, size, path, root)
      );
    }),
    { numRuns: 300, seed: 1 },
  );
  t.is(tree.rootAt(300).toHex(), hand.fold.summary().logRoot);
});

test('consistency proofs are those of RFC 9162, and they verify', (t) => {
  fc.assert(
    fc.property(sizes, sizes, (a, b) => {
      const [from, to] = a < b ? [a, b] : [b, a];
      const data = leaves.slice(0, to);
      const older = rfc.mth(data.slice(0, from));
      const path = tree.consistency(from, to);
      return (
        same(path, rfc.proof(from, data)) && verifyConsistency(from, older, to, rfc.mth(data), path)
      );
    }),
    { numRuns: 300, seed: 2 },
  );
  t.pass();
});

test('a path proves nothing else: no other leaf, place, size, length or root', (t) => {
  fc.assert(
    fc.property(sizes, fc.nat(), fc.nat(), (size, any, other) => {
      const index = any % size;
      const root = tree.rootAt(size);
      const leaf = tree.subtree(index, index + 1);
      const path = tree.inclusion(index, size);
      const wrong = path.map((hash) => Uint8Array.from(hash));
      const [first] = wrong;
      if (first) first[other % 32] = (first[other % 32] as number) ^ 1;
      const place = other % (size + 2);
      return (
        (!first || !verifyInclusion(leaf, index, size, wrong, root)) &&
        (place === index || !verifyInclusion(leaf, place, size, path, root)) &&
        !verifyInclusion(leaf, index, size, [...path, root], root) &&
        (path.length === 0 || !verifyInclusion(leaf, index, size, path.slice(1), root)) &&
        !verifyInclusion(root, index, size + 1, path, leaf)
      );
    }),
    { numRuns: 300, seed: 3 },
  );
  t.pass();
});

test('a consistency proof with another hash, size or root fails', (t) => {
  fc.assert(
    fc.property(sizes, sizes, fc.nat(), (a, b, any) => {
      const [from, to] = a < b ? [a, b] : [b, a];
      const path = tree.consistency(from, to);
      const older = tree.rootAt(from);
      const newer = tree.rootAt(to);
      if (from === to) return !verifyConsistency(from, older, to, newer, [older]);
      const wrong = path.map((hash) => Uint8Array.from(hash));
      const changed = wrong[any % wrong.length] as Uint8Array;
      changed[any % 32] = (changed[any % 32] as number) ^ 1;
      return (
        !verifyConsistency(from, older, to, newer, wrong) &&
        !verifyConsistency(from, newer, to, older, path) &&
        !verifyConsistency(from, older, to, newer, [...path, newer]) &&
        !verifyConsistency(from, older, to, newer, path.slice(1)) &&
        !verifyConsistency(to, older, from, newer, path)
      );
    }),
    { numRuns: 300, seed: 4 },
  );
  t.pass();
});

test('a proof reads few rows, whatever the size of the log', (t) => {
  let reads = 0;
  const counting = new LogTree({
    get: (key) => {
      reads += 1;
      return hand.store.get(key);
    },
  });
  for (const index of [0, 15, 16, 150, 299]) {
    reads = 0;
    counting.inclusion(index, 300);
    t.true(reads < 16 + 2 * Math.log2(300) + 16, `${reads} rows for ${index}`);
  }
});

test('a store that was written before the tree was kept gets the same one', async (t) => {
  const old = new MemoryStore([...hand.store.rows].filter(([key]) => !key.startsWith('t/')));
  await completeTree(old);
  const nodes = (store: MemoryStore) =>
    [...store.rows]
      .filter(([key]) => key.startsWith('t/'))
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
  t.true(nodes(hand.store).length > 16);
  t.deepEqual(
    nodes(old).map(([key, value]) => [key, Buffer.from(value).toString('hex')]),
    nodes(hand.store).map(([key, value]) => [key, Buffer.from(value).toString('hex')]),
  );
  t.is(finalLeaf('00'.repeat(32), 0).length, 32);
});
