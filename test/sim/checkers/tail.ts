import { decodeNumber, storeKeys } from '#ledger/keys.ts';
import type { Pruned } from '#ledger/snapshot/pruned.ts';

type Rows = ReadonlyMap<string, Uint8Array>;

/** Projections, replay windows and their digests: the same on every node, whatever it keeps. */
const STATE = /^(?:s|w|a\/hash)\//;
/** An event's id and its verdict, which stand first in a row of the log, as in a leaf. */
const LEAF_BYTES = 34;

export function equal(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (!a || !b) return a === b;
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** A digest of no rows: a snapshot brings it, and a node that had none keeps none. */
export function isOfNothing(key: string, row: Uint8Array | undefined): boolean {
  return key.startsWith('a/hash/') && row?.every((byte) => byte === 0) === true;
}

/** The first key of the state in which two stores differ. */
export function stateDifference(one: Rows, other: Rows): string | undefined {
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    const [a, b] = [one, other].map((rows) => {
      return isOfNothing(key, rows.get(key)) ? undefined : rows.get(key);
    });
    if (STATE.test(key) && !equal(a, b)) return key;
  }
  return undefined;
}

/**
 * The first key in which a store that holds a tail of the log differs from a whole one: its state
 * is the same, it remembers the same events, and what it has of the log is what stands there.
 */
export function tailDifference(whole: Rows, tail: Rows, pruned: Pruned): string | undefined {
  const inState = stateDifference(whole, tail);
  if (inState !== undefined) return inState;
  for (const [key, row] of whole) {
    const held = tail.get(key);
    if (key.startsWith('f/') && key > storeKeys.final(pruned.rows)) {
      const isHeld = key > storeKeys.final(pruned.events);
      const end = isHeld ? row.length : LEAF_BYTES;
      if (!equal(row.subarray(0, end), held?.subarray(0, end))) return key;
    }
    const isRemembered = key.startsWith('e/') && decodeNumber(row) > pruned.rows;
    if (isRemembered && !equal(row, held)) return key;
    // a few last commits may have been decided by some only
    if (/^[ct]\//.test(key) && held && !equal(row, held)) return key;
  }
  for (const key of tail.keys()) {
    if (/^[eft]\//.test(key) && !whole.has(key)) return key;
  }
  return undefined;
}
