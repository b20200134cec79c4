import { readBlock } from './archive.ts';
import type { Block } from './block.ts';
import type { Chain } from './chain.ts';
import { decodeCommit } from './commit.ts';
import type { Commit } from './commit.ts';
import { fail } from './errors.ts';
import type { Entry } from './event.ts';
import type { FinalEvent } from './fold.ts';
import type { Ref } from './header.ts';
import { decodeFinalRow, decodeNumber, storeKeys } from './keys.ts';
import type { BlockStore, Id } from './ports.ts';
import type { Replica } from './replica.ts';
import { assertHeld, readPruned } from '#ledger/snapshot/pruned.ts';

/** What is known of an event. */
export type EventState =
  | { readonly state: 'final'; readonly final: FinalEvent }
  | { readonly state: 'accepted'; readonly entry: Entry };

/** Reads of the final log and of single events. */
export class LogReader {
  readonly #chain: Chain;
  readonly #replica: Replica;
  readonly #store: Pick<BlockStore, 'get'>;
  /** The last block and commit that were read: neighbours in the log share them. */
  #block: Block | undefined;
  #commit: Pick<Commit, 'index' | 'epoch' | 'ts_ms'> | undefined;

  constructor(chain: Chain, replica: Replica, store: Pick<BlockStore, 'get'>) {
    this.#chain = chain;
    this.#replica = replica;
    this.#store = store;
  }

  /** The event with its state; `undefined` when this node does not hold it. */
  event(id: Id): EventState | undefined {
    const final = this.finalEvent(id);
    if (final) return { state: 'final', final };
    const entry = this.#replica.pool.get(id)?.entry ?? this.#carried(id);
    return entry && { state: 'accepted', entry };
  }

  #carried(id: Id): Entry | undefined {
    const ref = this.#replica.carrierOf(id);
    const { epoch } = this.#replica.committee;
    return ref && this.#read(ref, epoch).entries.find((one) => one.id === id);
  }

  #read(ref: Ref, epoch: number): Block {
    if (this.#block?.ref.id !== ref.id) {
      const committee = this.#replica.epochs.need(epoch);
      this.#block = readBlock(this.#store, ref, this.#chain.id, committee);
    }
    return this.#block;
  }

  /** The event when it is final and its commit is in the store. Throws `pruned`. */
  finalEvent(id: Id): FinalEvent | undefined {
    const seq = this.#store.get(storeKeys.finalOfEvent(id));
    return seq && this.at(decodeNumber(seq));
  }

  /** Number of the first event that this node holds; above 1 where its log was pruned. */
  get from(): number {
    return (readPruned(this.#store)?.events ?? 0) + 1;
  }

  /**
   * The final event of a number; `undefined` beyond the end. Throws `pruned` before the first that
   * is held, and `store_corrupt`.
   */
  at(seq: number): FinalEvent | undefined {
    assertHeld(this.#store, seq);
    const value = this.#store.get(storeKeys.final(seq));
    if (!value) return undefined;
    const { id, verdict, commit, block: ref, entry: index } = decodeFinalRow(value);
    const { epoch, ts_ms } = this.#commitAt(commit);
    const block = this.#read(ref, epoch);
    const entry = block.entries[index];
    if (entry?.id !== id) {
      fail('store_corrupt', 'The log names an entry that its block does not hold.', { seq });
    }
    return { seq, verdict, entry, commit, ts_ms, block: ref };
  }

  /** Up to `limit` final events from a number on. */
  *range(from: number, limit: number): Iterable<FinalEvent> {
    for (let seq = from; seq < from + limit; seq++) {
      const event = this.at(seq);
      if (!event) return;
      yield event;
    }
  }

  #commitAt(index: number): Pick<Commit, 'epoch' | 'ts_ms'> {
    if (this.#commit?.index !== index) {
      const row = this.#store.get(storeKeys.commit(index));
      if (!row) fail('store_corrupt', 'A commit of the log is not held.', { commit: index });
      const { epoch, ts_ms } = decodeCommit(row);
      this.#commit = { index, epoch, ts_ms };
    }
    return this.#commit;
  }
}
