import { equalBytes } from './ids.ts';
import { nodeHash } from './merkle.ts';
import type { Hash } from './merkle.ts';

/**
 * Inclusion and consistency proofs of RFC 9162 sections 2.1.3 and 2.1.4. Sizes are safe integers,
 * so halves are taken by division and not by shifts of 32 bits.
 */

/** MTH(D[start:end]) of the tree that is proven; `end` is greater than `start`. */
export type SubtreeHash = (start: number, end: number) => Hash;

/** The largest power of two below `count`, which is at least 2. */
export function splitOf(count: number): number {
  let half = 1;
  while (half * 2 < count) half *= 2;
  return half;
}

/** PATH(index, D[size]): from the leaf up. */
export function inclusionPath(index: number, size: number, subtree: SubtreeHash): Hash[] {
  const path: Hash[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      path.push(subtree(middle, end));
      end = middle;
    } else {
      path.push(subtree(start, middle));
      start = middle;
    }
  }
  return path.toReversed();
}

/** PROOF(from, D[to]); empty where both are equal. `from` is at least 1. */
export function consistencyPath(from: number, to: number, subtree: SubtreeHash): Hash[] {
  const path: Hash[] = [];
  let start = 0;
  let end = to;
  while (from !== end) {
    const middle = start + splitOf(end - start);
    if (from <= middle) {
      path.push(subtree(middle, end));
      end = middle;
    } else {
      path.push(subtree(start, middle));
      start = middle;
    }
  }
  // SUBPROOF(m, D[m], true) is nothing: the verifier knows that root
  if (start > 0) path.push(subtree(start, end));
  return path.toReversed();
}

/** Whether the path leads from leaf to root, with no step more (RFC 9162 2.1.3.2). */
export function verifyInclusion(
  leaf: Hash,
  index: number,
  size: number,
  path: readonly Hash[],
  root: Hash,
): boolean {
  if (index < 0 || index >= size) return false;
  let at = index;
  let last = size - 1;
  let node = leaf;
  for (const hash of path) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      node = nodeHash(hash, node);
      while (at % 2 === 0 && at > 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else node = nodeHash(node, hash);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(node, root);
}

/** Whether the tree of `to` leaves begins with the one of `from` leaves (RFC 9162 2.1.4.2). */
export function verifyConsistency(
  from: number,
  fromRoot: Hash,
  to: number,
  toRoot: Hash,
  path: readonly Hash[],
): boolean {
  if (from < 1 || from > to) return false;
  if (from === to) return path.length === 0 && equalBytes(fromRoot, toRoot);
  const hashes = isPowerOfTwo(from) ? [fromRoot, ...path] : path;
  const [first, ...rest] = hashes;
  if (!first || path.length === 0) return false;
  let at = from - 1;
  let last = to - 1;
  while (at % 2 === 1) {
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  let older = first;
  let newer = first;
  for (const hash of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      older = nodeHash(hash, older);
      newer = nodeHash(hash, newer);
      while (at % 2 === 0 && at > 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else newer = nodeHash(newer, hash);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(older, fromRoot) && equalBytes(newer, toRoot);
}

function isPowerOfTwo(value: number): boolean {
  let rest = value;
  while (rest % 2 === 0) rest /= 2;
  return rest === 1;
}
