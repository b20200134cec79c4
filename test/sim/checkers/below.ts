import { decodeCertificate } from '#ledger/certificate.ts';
import { decodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { decodeNumber, storeKeys } from '#ledger/keys.ts';
import { horizonAfter, isBelow } from '#ledger/snapshot/check.ts';
import { readPruned } from '#ledger/snapshot/pruned.ts';
import type { Pruned } from '#ledger/snapshot/pruned.ts';
import { MemoryStore } from '#test/support/memory-store.ts';

type Rows = ReadonlyMap<string, Uint8Array>;

/** Pruning waits until this part of the retention can go (`pruner.ts`). */
const STEP = 8;

/**
 * The newest certified checkpoint of the own chain up to which a node should have pruned;
 * `undefined` where nothing more can go.
 */
export function prunable(rows: Rows, size: number, events: number): number | undefined {
  const most = size - events;
  const pruned = readPruned(new MemoryStore(rows))?.events ?? 0;
  const least = pruned + Math.max(1, Math.floor(events / STEP));
  const sizes: number[] = [];
  for (const [key, row] of rows) {
    if (!key.startsWith('h/cert/')) continue;
    const { checkpoint } = decodeCertificate(row);
    const own = rows.get(storeKeys.ownCheckpoint(checkpoint));
    const isChained = checkpoint.cut !== 'idle' && own !== undefined;
    const { size: at } = checkpoint;
    if (isChained && at >= least && at <= most) sizes.push(at);
  }
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}

/** Keys that a node should have dropped when it wrote its mark. */
export function* leftovers(rows: Rows, pruned: Pruned): Iterable<string> {
  const at = (index: number): Commit | undefined => {
    const row = rows.get(storeKeys.commit(index));
    return row && decodeCommit(row);
  };
  const last = at(pruned.commit);
  if (!last) {
    yield storeKeys.commit(pruned.commit).concat(' not, which it needs');
    return;
  }
  const end = rows.get(storeKeys.epochEnd(last.epoch));
  const isEnd = end !== undefined && decodeNumber(end) === pruned.events;
  let lowest = last;
  for (let one = isEnd ? undefined : at(last.index - 1); one && !isBelow(lowest, last); ) {
    lowest = one;
    one = at(one.index - 1);
  }
  const blocks = isEnd
    ? storeKeys.blocksOfRound(0, last.epoch + 1)
    : storeKeys.blocksOfRound(horizonAfter(last) + 1, last.epoch);
  const covered = storeKeys.certificatesFrom(pruned.events).slice('h/cert/'.length);
  for (const [key, row] of rows) {
    const isOld =
      (key.startsWith('b/') && key < blocks) ||
      (key.startsWith('c/') && key < storeKeys.commit(lowest.index)) ||
      (key.startsWith('f/') && key <= storeKeys.final(pruned.rows)) ||
      (key.startsWith('e/') && decodeNumber(row) <= pruned.rows) ||
      (key.startsWith('y/head/') && key < storeKeys.snapshot(pruned.events)) ||
      (key.startsWith('y/rows/') && key < storeKeys.snapshotChunk(pruned.events, 0)) ||
      /^h\/(?:cert|own|signed)\//.test(key) && isCovered(key, covered);
    if (isOld) yield key;
  }
}

function isCovered(key: string, covered: string): boolean {
  const slot = key.slice(key.indexOf('/', 2) + 1);
  return !key.endsWith('/epoch') && slot < covered;
}
