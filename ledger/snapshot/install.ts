import { decodeCommit, encodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { encode } from '#ledger/codec.ts';
import { encodeValidators } from '#ledger/committee.ts';
import type { Committee } from '#ledger/committee.ts';
import { chainRow } from '#ledger/cuts.ts';
import { Epochs } from '#ledger/epochs.ts';
import type { Chain } from '#ledger/chain.ts';
import { fail } from '#ledger/errors.ts';
import { encodeFold } from '#ledger/fold.ts';
import { encodeFinalRow, encodeNumber, prefixRange, storeKeys } from '#ledger/keys.ts';
import { TREE_LEVEL_MIN } from '#ledger/log-tree.ts';
import type { MerkleLog } from '#ledger/merkle.ts';
import type { OrdererState } from '#ledger/orderer.ts';
import type { BlockStore, StoreOp } from '#ledger/ports.ts';
import { horizonAfter } from './check.ts';
import type { Offer } from './check.ts';
import { LeafCheck } from './contents.ts';
import { deleteRange } from './delete.ts';
import { decodeHead, decodeRows, encodeHead, encodeRows } from './format.ts';
import type { SnapshotHead } from './format.ts';
import { prunedOp } from './pruned.ts';

/**
 * How a fetched snapshot takes the place of what a store held. While it is fetched its parts lie
 * under `i/`. When all of it is verified, the mark `a/install` is written, synced: from then on the
 * store is the snapshot's, and whoever opens it first puts the parts in their places, as often as
 * it is interrupted. Without the mark the parts are dropped at the next start.
 */

/** Rows in one batch. */
const BATCH = 1000;
/** What follows from the log, or is the log: replaced as a whole. Keys and the pool stay. */
const REPLACED = ['s/', 'w/', 'e/', 'f/', 't/', 'c/', 'y/'];
const NO_BLOCK = { round: 0, author: 0, id: '0'.repeat(64) } as const;

/** Keeps one fetched part. */
export function stage(
  store: BlockStore,
  part: 'leaves' | 'rows',
  index: number,
  bytes: Uint8Array,
): Promise<void> {
  const key = storeKeys.staged(part, index);
  return store.write([{ type: 'put', key, value: bytes }], { sync: false });
}

/** Drops the parts of a snapshot that was not fetched to its end. */
export async function dropStaged(store: BlockStore): Promise<void> {
  await deleteRange(store, prefixRange('i/'));
}

/**
 * Everything is fetched and verified: leaves and rows are staged. Writes the single records and
 * the mark; the snapshot counts from then on.
 */
export async function seal(
  store: BlockStore,
  chain: Chain,
  offer: Offer,
  log: MerkleLog,
  digests: readonly StoreOp[],
): Promise<void> {
  const records = [...recordsOf(chain, offer, log), ...digests].flatMap((op) =>
    op.type === 'put' ? [[op.key, op.value] as const] : [],
  );
  for (const [index, record] of records.entries()) {
    const key = storeKeys.staged('records', index);
    await store.write([{ type: 'put', key, value: encodeRows([record]) }], { sync: false });
  }
  const mark: StoreOp = {
    type: 'put',
    key: storeKeys.installing,
    value: encodeHead(offer.head),
  };
  await store.write([mark], { sync: true });
}

function* recordsOf(chain: Chain, offer: Offer, log: MerkleLog): Iterable<StoreOp> {
  const { head, ends, committees, commits } = offer;
  const { certificate, before } = head;
  const { checkpoint } = certificate;
  const [last] = commits as [Commit];
  const put = (key: string, value: Uint8Array): StoreOp => ({ type: 'put', key, value });
  // the newest first: `blocksEnd` looks for it there
  for (const commit of commits) yield put(storeKeys.commit(commit.index), encodeCommit(commit));
  for (const end of [...ends, certificate]) {
    yield put(storeKeys.certificate(end.checkpoint), end.bytes);
  }
  const epochs = new Epochs(chain, { get: () => undefined });
  for (const [epoch, end] of ends.entries()) {
    const committee = committees[epoch + 1] as Committee;
    yield put(storeKeys.epochEnd(epoch), encodeNumber(end.checkpoint.size));
    yield put(storeKeys.committee(epoch + 1), encode(encodeValidators(committee.validators)));
    yield epochs.enter({ committee, certificate: end.bytes });
  }
  for (const one of before ? [before, checkpoint] : [checkpoint]) {
    yield put(storeKeys.ownCheckpoint(one), one.bytes);
  }
  const chained = checkpoint.cut === 'idle' ? before : checkpoint;
  yield put(storeKeys.cuts, chainRow(chained?.id ?? chain.id, chained?.size, chained?.ts_ms));
  yield put(storeKeys.fold, encodeFold(log, stateAfter(last, checkpoint.cut === 'epoch')));
  yield prunedOp({ events: checkpoint.size, commit: checkpoint.commit.index, rows: head.base });
}

/** Where the orderer goes on: after the commit's slot, or at the start of the next epoch. */
function stateAfter({ index, id, ts_ms, leader }: Commit, isEnd: boolean): OrdererState {
  const { round, author } = leader;
  return {
    cursor: isEnd ? undefined : { round, author },
    last: { index, id, ts_ms, leaderRound: isEnd ? 0 : round },
  };
}

/**
 * Puts a sealed snapshot in its place, or drops an unfinished one. Call it before anything is read
 * from the store. Returns whether there was one.
 */
export async function install(store: BlockStore): Promise<boolean> {
  const mark = store.get(storeKeys.installing);
  if (!mark) {
    await dropStaged(store);
    return false;
  }
  const head = decodeHead(mark);
  for (const prefix of REPLACED) await deleteRange(store, prefixRange(prefix));
  await deleteRange(store, { gte: 'b/', lt: blocksEnd(store, head) });
  const { size, commit } = head.certificate.checkpoint;
  const check = new LeafCheck(head);
  let ops: StoreOp[] = peakOps(check.log.peaks, head.base);
  const flush = async (least = BATCH): Promise<void> => {
    if (ops.length < least) return;
    await store.write(ops, { sync: false });
    ops = [];
  };
  for (let i = 0; ; i++) {
    const frame = store.get(storeKeys.staged('leaves', i));
    if (!frame) break;
    check.take(
      frame,
      (seq, id, verdict) => {
        // what block an event stood in is not known; of the last one its commit is asked for
        const row = { id, verdict, commit: seq === size ? commit.index : 0, block: NO_BLOCK };
        const value = encodeFinalRow({ ...row, entry: 0 });
        ops.push({ type: 'put', key: storeKeys.final(seq), value });
        ops.push({ type: 'put', key: storeKeys.finalOfEvent(id), value: encodeNumber(seq) });
      },
      (level, index, node) => {
        if (level < TREE_LEVEL_MIN) return;
        ops.push({ type: 'put', key: storeKeys.treeNode(level, index), value: node });
      },
    );
    await flush();
  }
  for (const part of ['rows', 'records'] as const) {
    for (let i = 0; ; i++) {
      const chunk = store.get(storeKeys.staged(part, i));
      if (!chunk) break;
      for (const [key, value] of decodeRows(chunk)) ops.push({ type: 'put', key, value });
      await flush();
    }
  }
  ops.push({ type: 'del', key: storeKeys.installing });
  await store.write(ops, { sync: true });
  await dropStaged(store);
  return true;
}

/**
 * Where the blocks begin that stay: those above the horizon of the DAG that goes on, with all that
 * they build on. An own block that nobody else has may be among them, and the next one names it.
 */
function blocksEnd(store: BlockStore, { certificate }: SnapshotHead): string {
  const { epoch, cut, commit } = certificate.checkpoint;
  if (cut === 'epoch') return storeKeys.blocksOfRound(0, epoch + 1);
  const record = store.get(storeKeys.staged('records', 0));
  const [[key, row] = []] = record ? decodeRows(record) : [];
  if (!row || key !== storeKeys.commit(commit.index)) {
    fail('store_corrupt', 'The first record of a snapshot is not its commit.');
  }
  return storeKeys.blocksOfRound(horizonAfter(decodeCommit(row)) + 1, epoch);
}

/** The subtrees left of the first leaf: each covers one bit of the base, the largest first. */
function peakOps(peaks: readonly Uint8Array[], base: number): StoreOp[] {
  const ops: StoreOp[] = [];
  let rest = base;
  let start = 0;
  for (const value of peaks) {
    const level = Math.floor(Math.log2(rest));
    const key = storeKeys.treeNode(level, start / 2 ** level);
    ops.push({ type: 'put', key, value });
    start += 2 ** level;
    rest -= 2 ** level;
  }
  return ops;
}
