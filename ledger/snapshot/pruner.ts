import type { Certifier } from '#ledger/certifier.ts';
import { decodeCertificate } from '#ledger/certificate.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { decodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { codeOf, fail } from '#ledger/errors.ts';
import { decodeNumber, prefixRange, storeKeys } from '#ledger/keys.ts';
import { TREE_LEVEL_MIN } from '#ledger/log-tree.ts';
import type { BlockStore, Clock, Log, StoreOp, StoreRange } from '#ledger/ports.ts';
import { horizonAfter, isBelow } from './check.ts';
import { baseOf } from './format.ts';
import { prunedOp, readPruned } from './pruned.ts';
import type { Shelf } from './shelf.ts';

/** How much of the final log a node keeps with its blocks: all, or at least so many events. */
export type Retention = 'archive' | { readonly events: number };

/** Rows deleted in one batch, and the pause after it: turns of the replica come in between. */
const BATCH = 500;
const PAUSE_MS = 5;
/** Pruning waits until this part of the retention can go, so that it is worth the reading. */
const STEP = 8;
/** Certificates looked at for one to prune up to. */
const LOOKED_AT_MAX = 64;
/** Levels of the tree over a log of 2^53 events. */
const LEVELS = 53;

export interface PrunerParts {
  readonly store: BlockStore;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Log;
  readonly certifier: Certifier;
  readonly shelf: Shelf;
  /** Number of final events. */
  readonly size: () => number;
  readonly remembered: number;
}

/**
 * Deletes what lies below the newest certified checkpoint that is older than the retention
 * (consensus.md 2.17): blocks, commits, rows of the final log that are not remembered any more,
 * certificates in between. Kept are the committee chain, the tree's nodes that proofs of kept
 * events need, and the DAG that goes on from that checkpoint, so that a snapshot of it or a later
 * one with its tail can be given. The mark of what is gone is written first; deleting again changes
 * nothing, so what a crash leaves goes with the next time.
 */
export class Pruner {
  readonly #parts: PrunerParts;
  readonly retention: Retention;
  #isRunning = false;
  /** Asked for while it ran: what came meanwhile may let more go. */
  #isWanted = false;
  #isStarted = false;
  #isStopped = false;
  #end: (() => void) | undefined;

  constructor(parts: PrunerParts, retention: Retention) {
    this.#parts = parts;
    this.retention = retention;
  }

  start(): void {
    if (this.retention === 'archive') return;
    this.#isStarted = true;
    this.#end = this.#parts.certifier.onCertified(() => void this.prune());
    void this.prune();
  }

  stop(): void {
    this.#isStopped = true;
    this.#end?.();
  }

  /**
   * Prunes if enough can go: call it when a checkpoint was certified or made here, whichever comes
   * last. Never throws.
   */
  async prune(): Promise<void> {
    this.#isWanted = true;
    const isAble = this.#isStarted && !this.#isRunning && !this.#isStopped;
    if (!isAble || this.retention === 'archive') return;
    this.#isRunning = true;
    const { log } = this.#parts;
    try {
      while (this.#isWanted && !this.#isStopped) {
        this.#isWanted = false;
        const target = await this.#target(this.retention.events);
        if (target) await this.#pruneUpTo(target);
      }
    } catch (error) {
      log.error({ code: codeOf(error) }, 'the store could not be pruned');
    } finally {
      this.#isRunning = false;
    }
  }

  /** The newest own and certified checkpoint of the chain that is old enough. */
  async #target(events: number): Promise<Checkpoint | undefined> {
    const { store, size, certifier } = this.#parts;
    const most = size() - events;
    const least = (readPruned(store)?.events ?? 0) + Math.max(1, Math.floor(events / STEP));
    if (most < least) return undefined;
    const gte = storeKeys.certificatesFrom(least);
    const lt = storeKeys.certificatesFrom(most + 1);
    const range: StoreRange = { gte, lt, reverse: true, limit: LOOKED_AT_MAX };
    for await (const [, row] of store.range(range)) {
      const { checkpoint } = decodeCertificate(row);
      const isOwn = certifier.store.own(checkpoint)?.id === checkpoint.id;
      if (checkpoint.cut !== 'idle' && isOwn) return checkpoint;
    }
    return undefined;
  }

  async #pruneUpTo(target: Checkpoint): Promise<void> {
    const { store, shelf, log, remembered } = this.#parts;
    const { size, commit, epoch, cut } = target;
    const last = this.#commit(commit.index);
    const rows = baseOf(size, remembered);
    await store.write([prunedOp({ events: size, commit: commit.index, rows })], { sync: false });
    await shelf.dropBelow(size);
    const isEnd = cut === 'epoch';
    const blocks = isEnd
      ? storeKeys.blocksOfRound(0, epoch + 1)
      : storeKeys.blocksOfRound(horizonAfter(last) + 1, epoch);
    let count = await this.#drop({ gte: 'b/', lt: blocks });
    const lowest = isEnd ? last : this.#lowest(last);
    count += await this.#drop({ gte: 'c/', lt: storeKeys.commit(lowest.index) });
    count += await this.#drop({ gte: 'f/', lt: storeKeys.final(rows + 1) }, (key, row) => {
      const ofEvent = storeKeys.finalOfEvent(row.subarray(0, 32).toHex());
      const number = store.get(ofEvent);
      // an event that was repeated has its later number there
      const isItsOwn = number && storeKeys.final(decodeNumber(number)) === key;
      return isItsOwn ? [key, ofEvent] : [key];
    });
    count += await this.#dropTree(rows);
    const unlessEnd = (key: string) => (key.endsWith('/epoch') ? [] : [key]);
    for (const prefix of ['h/cert/', 'h/own/', 'h/signed/']) {
      const lt = `${prefix}${storeKeys.certificatesFrom(size).slice('h/cert/'.length)}`;
      count += await this.#drop({ gte: prefix, lt }, unlessEnd);
    }
    if (this.#isStopped) return;
    await store.compact?.('b/', prefixRange('t/').lt);
    log.info({ from: size + 1, rows: count }, 'the log was pruned');
  }

  #commit(index: number): Commit {
    const row = this.#parts.store.get(storeKeys.commit(index));
    return row ? decodeCommit(row) : fail('store_corrupt', 'A commit is not held.', { index });
  }

  /** The lowest commit that the DAG after `last` needs, as an offer of a snapshot lists them. */
  #lowest(last: Commit): Commit {
    for (let commit = last; ; ) {
      const row = this.#parts.store.get(storeKeys.commit(commit.index - 1));
      if (isBelow(commit, last) || !row) return commit;
      commit = decodeCommit(row);
    }
  }

  /** Nodes left of leaf number `rows`, but for the roots of the complete subtrees there. */
  async #dropTree(rows: number): Promise<number> {
    let count = 0;
    for (let level = TREE_LEVEL_MIN; level < LEVELS && 2 ** level <= rows; level++) {
      const end = Math.floor(rows / 2 ** level);
      const peak = end % 2 === 1 ? storeKeys.treeNode(level, end - 1) : undefined;
      const range = { gte: storeKeys.treeNode(level, 0), lt: storeKeys.treeNode(level, end) };
      count += await this.#drop(range, (key) => (key === peak ? [] : [key]));
    }
    return count;
  }

  /** Deletes a range, batch after batch; `keysOf` may name others or none. Returns how many. */
  async #drop(
    range: StoreRange,
    keysOf: (key: string, row: Uint8Array) => readonly string[] = (key) => [key],
  ): Promise<number> {
    const { store, clock } = this.#parts;
    let count = 0;
    let ops: StoreOp[] = [];
    const flush = async (): Promise<void> => {
      if (ops.length === 0) return;
      count += ops.length;
      await store.write(ops, { sync: false });
      ops = [];
    };
    for await (const [key, row] of store.range(range)) {
      if (this.#isStopped) return count;
      ops.push(...keysOf(key, row).map((one) => ({ type: 'del', key: one }) as const));
      if (ops.length < BATCH) continue;
      await flush();
      await new Promise<void>((resolve) => void clock.after(PAUSE_MS, resolve));
    }
    await flush();
    return count;
  }
}
