import { fail } from './errors.ts';
import { concatBytes, sha256 } from './ids.ts';
import { EVENT_BYTES_MAX } from './limits.ts';

/**
 * The Merkle tree hash of RFC 9162 section 2.1 over SHA-256, for payload roots (a whole list at
 * once) and for the final log (one leaf after the other, keeping the roots of the complete subtrees
 * only).
 */

export type Hash = Uint8Array;

/** Zero and the leaf, for leaves up to an entry of maximal size: no copy is allocated for each. */
const prefixed = new Uint8Array(1 + EVENT_BYTES_MAX + 4096);

/** SHA-256(0x00 ‖ leaf). */
export function leafHash(leaf: Uint8Array): Hash {
  if (leaf.length >= prefixed.length) {
    return sha256(concatBytes([Uint8Array.of(0), leaf]));
  }
  prefixed.set(leaf, 1);
  return sha256(prefixed.subarray(0, leaf.length + 1));
}

const pair = new Uint8Array(65);
pair[0] = 1;

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Hash, right: Hash): Hash {
  pair.set(left, 1);
  pair.set(right, 33);
  return sha256(pair);
}

/** The root of the empty tree: SHA-256 of nothing. */
export function emptyRoot(): Hash {
  return sha256(new Uint8Array(0));
}

/** The root over leaf hashes. */
export function rootOf(leaves: readonly Hash[]): Hash {
  const tree = new MerkleLog();
  for (const leaf of leaves) tree.append(leaf);
  return tree.root();
}

/** An append-only tree that keeps O(log n) hashes. */
export class MerkleLog {
  #size: number;
  /** Roots of the complete subtrees, largest first: one for each set bit of the size. */
  #peaks: Hash[];

  constructor(size = 0, peaks: readonly Hash[] = []) {
    this.#size = size;
    this.#peaks = [...peaks];
    if (peaks.length !== bits(size)) {
      fail('store_corrupt', 'The stored tree does not fit its size.', { size });
    }
  }

  get size(): number {
    return this.#size;
  }

  /** What a store keeps to go on from here. */
  get peaks(): readonly Hash[] {
    return this.#peaks;
  }

  /** Adds one leaf's hash; `made` hears of every subtree that it completes, smallest first. */
  append(leaf: Hash, made?: (level: number, index: number, node: Hash) => void): void {
    let node = leaf;
    let level = 0;
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = nodeHash(this.#peaks.pop() as Hash, node);
      level += 1;
      made?.(level, (rest - 1) / 2, node);
    }
    this.#peaks.push(node);
    this.#size += 1;
  }

  /** The root over all leaves so far. */
  root(): Hash {
    let root: Hash | undefined;
    for (let i = this.#peaks.length - 1; i >= 0; i--) {
      const peak = this.#peaks[i] as Hash;
      root = root ? nodeHash(peak, root) : peak;
    }
    return root ?? emptyRoot();
  }
}

function bits(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
