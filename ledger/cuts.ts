import { makeCheckpoint } from './checkpoint.ts';
import type { Checkpoint, Cut } from './checkpoint.ts';
import { decode, encode } from './codec.ts';
import { decodeCommit } from './commit.ts';
import type { Commit } from './commit.ts';
import type { Committee } from './committee.ts';
import { encodeValidators } from './committee.ts';
import { fail } from './errors.ts';
import { bytesOf } from './ids.ts';
import { decodeFinalRow, storeKeys } from './keys.ts';
import type { Id, StoreOp } from './ports.ts';
import type { Overlay } from './rows.ts';

/**
 * A periodic cut after so many final events, but not more than one a second: each costs every
 * validator a signature and the others its verification.
 */
export const CUT_EVENTS = 1000;
export const CUT_PAUSE_MS = 1000;
/** A periodic cut after so long, measured by the times of commits. */
export const CUT_MS = 10_000;
/** New cuts that wait to be taken; a rebuild or an audit takes none. */
const FRESH_MAX = 64;

/** What a cut says of the state after a commit. */
export interface CutState {
  readonly size: number;
  readonly logRoot: Id;
  readonly stateRoot: Id;
}

interface Chained {
  readonly prev: Id;
  readonly size: number;
  readonly ts_ms: number;
}

/**
 * Where the final log is cut into checkpoints (consensus.md 2.16): at the first commit that made
 * events final with `CUT_EVENTS` more of them than at the last cut, or `CUT_MS` later, and at the
 * end of an epoch. A function of the final sequence only: part of the fold, in its batches.
 */
export class Cuts {
  readonly #rows: Overlay;
  readonly #chain: Id;
  #last: Chained | undefined;
  #beforeLast: Chained | undefined;
  #idleSize = 0;
  #fresh: Checkpoint[] = [];

  /** Goes on where the store stands. `isNew`: nothing was folded yet. */
  constructor(rows: Overlay, chain: Id, isNew: boolean) {
    this.#rows = rows;
    this.#chain = chain;
    const saved = rows.get(storeKeys.cuts);
    if (saved) {
      const [prev, size, ts_ms] = decode(saved) as readonly [Uint8Array, number, number];
      this.#last = { prev: prev.toHex(), size, ts_ms };
    } else if (isNew) this.#chainTo({ prev: chain, size: 0, ts_ms: 0 });
  }

  /**
   * False on a store that was folded before there were checkpoints: its chain is not known until
   * `x0t rebuild` makes it. Such a node takes certificates and signs none.
   */
  get isActive(): boolean {
    return this.#last !== undefined;
  }

  /** Size of the last cut of the chain. */
  get lastSize(): number {
    return this.#last?.size ?? 0;
  }

  #chainTo(last: Chained): void {
    this.#beforeLast = this.#last;
    this.#last = last;
    const { prev, size, ts_ms } = last;
    this.#rows.put(storeKeys.cuts, chainRow(prev, size, ts_ms));
  }

  /** Cuts after a commit that made events final, if it is time. */
  after(commit: Commit, size: number, state: () => CutState): void {
    if (!this.#last) return;
    const passed_ms = commit.ts_ms - this.#last.ts_ms;
    const isFull = size - this.#last.size >= CUT_EVENTS && passed_ms >= CUT_PAUSE_MS;
    if (isFull || passed_ms >= CUT_MS) this.#cut('periodic', commit, state());
  }

  /**
   * Cuts at the last commit of an epoch; a periodic cut at the same commit gives way. Call it after
   * `after`, before the batch is written.
   */
  endEpoch(commit: Commit, state: CutState, next: Committee): void {
    if (!this.#last) return;
    if (this.#last.size === state.size && this.#beforeLast) {
      const undone = this.#fresh.pop();
      if (undone?.size !== state.size) fail('internal', 'A cut that was handed over stays.');
      this.#rows.remove(storeKeys.ownCheckpoint(undone));
      this.#last = this.#beforeLast;
    }
    this.#cut('epoch', commit, state, next.id);
    this.#rows.put(storeKeys.committee(next.epoch), encode(encodeValidators(next.validators)));
  }

  /**
   * Cuts where the log stands, outside the chain; returns the row to write, or nothing where a cut
   * stands already.
   */
  idle(state: CutState): StoreOp | undefined {
    const { size } = state;
    if (!this.#last || size === this.#last.size || size === this.#idleSize) return undefined;
    const row = this.#rows.get(storeKeys.final(size));
    const commit = row && this.#rows.get(storeKeys.commit(decodeFinalRow(row).commit));
    if (!commit) fail('store_corrupt', 'The commit of the last final event is not held.', { size });
    this.#idleSize = size;
    const checkpoint = this.#make('idle', decodeCommit(commit), state);
    return { type: 'put', key: storeKeys.ownCheckpoint(checkpoint), value: checkpoint.bytes };
  }

  #cut(cut: 'periodic' | 'epoch', commit: Commit, state: CutState, nextCommittee?: Id): void {
    const checkpoint = this.#make(cut, commit, state, nextCommittee);
    this.#rows.put(storeKeys.ownCheckpoint(checkpoint), checkpoint.bytes);
    this.#chainTo({ prev: checkpoint.id, size: checkpoint.size, ts_ms: checkpoint.ts_ms });
  }

  #make(cut: Cut, commit: Commit, state: CutState, nextCommittee?: Id): Checkpoint {
    const checkpoint = makeCheckpoint({
      chain: this.#chain,
      epoch: commit.epoch,
      cut,
      size: state.size,
      root: state.logRoot,
      state: state.stateRoot,
      commit: { index: commit.index, id: commit.id },
      ts_ms: commit.ts_ms,
      ...(nextCommittee !== undefined && { nextCommittee }),
      prev: (this.#last as Chained).prev,
    });
    if (this.#fresh.length >= FRESH_MAX) this.#fresh.shift();
    this.#fresh.push(checkpoint);
    return checkpoint;
  }

  /** Whether there were cuts since the last `take`. */
  get hasFresh(): boolean {
    return this.#fresh.length > 0;
  }

  /** The cuts since the last call. Call it when their batch is in the store. */
  take(): Checkpoint[] {
    return this.#fresh.splice(0);
  }
}

/** The row that says where the chain stands: at its last checkpoint, or at the genesis. */
export function chainRow(prev: Id, size = 0, ts_ms = 0): Uint8Array {
  return encode([bytesOf(prev), size, ts_ms]);
}
