import { fail } from './errors.ts';
import { decodeFinalRow, prefixRange, storeKeys } from './keys.ts';
import { consistencyPath, inclusionPath, splitOf } from './merkle-proof.ts';
import { leafHash, nodeHash } from './merkle.ts';
import type { Hash } from './merkle.ts';
import type { BlockStore, Id, StoreOp } from './ports.ts';
import type { Readable } from './rows.ts';

/**
 * The tree over the final log, for proofs: complete subtrees from 2^`TREE_LEVEL_MIN` leaves on are
 * rows, what is below is computed from final rows. So a proof reads some 2 log2(n) rows and at most
 * 16 final rows, and the tree costs 8 bytes of disk for each event.
 */

/** Each level less would double the rows; each more would double what a proof reads. */
export const TREE_LEVEL_MIN = 4;

/** The leaf of the final log: 32 bytes of the event's id and the verdict as u16, big-endian. */
export function finalLeaf(id: Id, verdict: number): Hash {
  const leaf = new Uint8Array(34);
  leaf.setFromHex(id);
  new DataView(leaf.buffer).setUint16(32, verdict);
  return leafHash(leaf);
}

/** Reads the stored tree. What it is asked for lies within the final log; else `store_corrupt`. */
export class LogTree {
  readonly #store: Readable;

  constructor(store: Readable) {
    this.#store = store;
  }

  /** The root over the first `size` leaves. */
  rootAt(size: number): Hash {
    return this.subtree(0, size);
  }

  inclusion(index: number, size: number): Hash[] {
    return inclusionPath(index, size, (start, end) => this.subtree(start, end));
  }

  consistency(from: number, to: number): Hash[] {
    return consistencyPath(from, to, (start, end) => this.subtree(start, end));
  }

  /** MTH(D[start:end]). */
  subtree(start: number, end: number): Hash {
    const count = end - start;
    if (count === 1) return this.#leaf(start);
    const middle = splitOf(count);
    if (middle * 2 === count && start % count === 0 && count >= 2 ** TREE_LEVEL_MIN) {
      const row = this.#store.get(storeKeys.treeNode(Math.log2(count), start / count));
      if (row) return row;
      missing(start);
    }
    return nodeHash(this.subtree(start, start + middle), this.subtree(start + middle, end));
  }

  #leaf(index: number): Hash {
    const row = this.#store.get(storeKeys.final(index + 1));
    if (!row) return missing(index);
    const { id, verdict } = decodeFinalRow(row);
    return finalLeaf(id, verdict);
  }
}

function missing(index: number): never {
  fail('store_corrupt', 'The tree of the final log has a hole: run `x0t rebuild`.', {
    seq: index + 1,
  });
}

/** Final rows that are read before their nodes are written. */
const BATCH = 4096;

/**
 * Makes the tree of a store that was written before it was kept. The first node is written last, so
 * that what was interrupted is done again. Does nothing where the tree is there.
 */
export async function completeTree(store: BlockStore): Promise<void> {
  // what begins later was written with its tree
  if (store.get(storeKeys.pruned)) return;
  const first = storeKeys.treeNode(TREE_LEVEL_MIN, 0);
  if (store.get(first) || !store.get(storeKeys.final(2 ** TREE_LEVEL_MIN))) return;
  let ops: StoreOp[] = [];
  let held: StoreOp | undefined;
  const open: Hash[] = [];
  let size = 0;
  for await (const [, row] of store.range(prefixRange('f/'))) {
    const { id, verdict } = decodeFinalRow(row);
    let node = finalLeaf(id, verdict);
    let level = 0;
    for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = nodeHash(open.pop() as Hash, node);
      level += 1;
      if (level < TREE_LEVEL_MIN) continue;
      const key = storeKeys.treeNode(level, (rest - 1) / 2);
      const op: StoreOp = { type: 'put', key, value: node };
      if (key === first) held = op;
      else ops.push(op);
    }
    open.push(node);
    size += 1;
    if (ops.length < BATCH) continue;
    await store.write(ops, { sync: false });
    ops = [];
  }
  if (held) await store.write([...ops, held], { sync: true });
}
