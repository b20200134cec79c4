import type { Core, Level } from '#ledger/core.ts';
import type { Entry } from '#ledger/event.ts';

/** What a read is based on. */
export interface ReadEnvelope {
  readonly level: Level;
  readonly finalSeq: number;
  readonly commitIndex: number;
  readonly pendingCount: number;
  readonly quorumReachable: boolean;
  readonly epoch: number;
}

/**
 * How far the final log can be read: it moves when events are in the store, not when they are
 * ordered. A read may already hold a later event than `finalSeq`, never lack an earlier one.
 */
export class ReadView {
  readonly #core: Core;
  readonly #isQuorumReachable: () => boolean;
  readonly #end: () => void;
  #finalSeq: number;
  #commitIndex: number;
  #pending = 0;
  #pendingStamp = '';

  constructor(core: Core, isQuorumReachable: () => boolean) {
    this.#core = core;
    this.#isQuorumReachable = isQuorumReachable;
    this.#finalSeq = core.replica.fold.size;
    this.#commitIndex = core.replica.orderer.state.last.index;
    this.#end = core.onFinal((events) => {
      const last = events.at(-1);
      this.#finalSeq = last?.seq ?? core.replica.fold.size;
      this.#commitIndex = last?.commit ?? core.replica.orderer.state.last.index;
    });
  }

  stop(): void {
    this.#end();
  }

  get finalSeq(): number {
    return this.#finalSeq;
  }

  of(level: Level): ReadEnvelope {
    return {
      level,
      finalSeq: this.#finalSeq,
      commitIndex: this.#commitIndex,
      pendingCount: this.#pendingCount(),
      quorumReachable: this.#isQuorumReachable(),
      epoch: this.#core.replica.committee.epoch,
    };
  }

  /**
   * Events held here that are not final, each once. Blocks may carry some that the pool never saw.
   */
  *pending(): Iterable<Entry> {
    const { pool, unordered } = this.#core.replica;
    for (const { entry } of pool.values()) yield entry;
    for (const { entries } of unordered) {
      for (const entry of entries) if (!pool.get(entry.id)) yield entry;
    }
  }

  #pendingCount(): number {
    const { pool, counters } = this.#core.replica;
    const stamp = `${this.#finalSeq}/${pool.version}/${counters.blocksAccepted}`;
    if (stamp !== this.#pendingStamp) {
      this.#pendingStamp = stamp;
      this.#pending = 0;
      for (const _ of this.pending()) this.#pending += 1;
    }
    return this.#pending;
  }
}
