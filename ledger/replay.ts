import { decodeNumber, writeNumber } from './keys.ts';
import { LANE_WINDOW } from './limits.ts';

/**
 * The replay window of one lane (wire.md, "Replay"): the highest used sequence number and a bit for
 * each of the `LANE_WINDOW` numbers that end there. A row of 8 + 128 bytes: the number (big-endian)
 * and the bits; bit i stands for number i modulo the window.
 */
export type LaneRow = Uint8Array;

const BITMAP_BYTES = LANE_WINDOW / 8;
const ROW_BYTES = 8 + BITMAP_BYTES;

/** Whether `seq` may still be used. Numbers below the window may not. */
export function isFree(row: LaneRow | undefined, seq: number): boolean {
  if (!row) return true;
  const top = topOf(row);
  if (seq > top) return true;
  if (seq <= top - LANE_WINDOW) return false;
  return ((row[8 + byteOf(seq)] as number) & bitOf(seq)) === 0;
}

/** The row after `seq` was used; the caller has asked `isFree`. */
export function use(row: LaneRow | undefined, seq: number): LaneRow {
  const next = new Uint8Array(ROW_BYTES);
  const top = row ? topOf(row) : -1;
  if (row && seq - top < LANE_WINDOW) {
    next.set(row);
    for (let n = top + 1; n < seq; n++) {
      next[8 + byteOf(n)] = (next[8 + byteOf(n)] as number) & ~bitOf(n);
    }
  }
  writeNumber(new DataView(next.buffer), 0, Math.max(top, seq));
  next[8 + byteOf(seq)] = (next[8 + byteOf(seq)] as number) | bitOf(seq);
  return next;
}

/** The highest used number. */
export function topOf(row: LaneRow): number {
  return decodeNumber(row);
}

function byteOf(seq: number): number {
  return (seq % LANE_WINDOW) >> 3;
}

function bitOf(seq: number): number {
  return 1 << ((seq % LANE_WINDOW) & 7);
}
