import type { Entry } from './event.ts';
import type { Fold } from './fold.ts';
import { clamp, compareHlc } from './hlc.ts';
import type { Clock, Id } from './ports.ts';
import type { Rows } from './projection.ts';
import type { Reducer } from './reducer.ts';
import type { Replica } from './replica.ts';

/**
 * Pending events beyond this are left out of the view: a read stays short whatever the pool holds.
 */
const EVENTS_MAX = 20_000;

/**
 * The `accepted` read level (consensus.md 2.15): the final state with everything folded on top that
 * this node holds and that is not final, by hybrid time and id. Computed when it is read, kept
 * until something changes, and thrown away then, since a commit may order otherwise.
 */
export class AcceptedView {
  readonly #replica: Replica;
  readonly #clock: Pick<Clock, 'wall_ms'>;
  #reducer: Reducer | undefined;
  #fold: Fold | undefined;
  #stamp = '';

  constructor(replica: Replica, clock: Pick<Clock, 'wall_ms'>) {
    this.#replica = replica;
    this.#clock = clock;
  }

  /** The rows of a projection at this level. */
  rows(projection: string): Pick<Rows, 'get'> {
    return this.#current().rowsOf(projection);
  }

  #current(): Reducer {
    const { committee, fold, pool, counters } = this.#replica;
    const stamp = `${committee.epoch}/${fold.size}/${pool.version}/${counters.blocksAccepted}`;
    if (!this.#reducer || stamp !== this.#stamp || fold !== this.#fold) {
      this.#fold = fold;
      this.#stamp = stamp;
      this.#reducer = this.#build(fold);
    }
    return this.#reducer;
  }

  #build(fold: Fold): Reducer {
    const reducer = fold.scratch();
    const wall_ms = this.#clock.wall_ms();
    const entries = new Map<Id, Entry>();
    for (const { entry } of this.#replica.pool.values()) entries.set(entry.id, entry);
    for (const block of this.#replica.unordered) {
      for (const entry of block.entries) entries.set(entry.id, entry);
    }
    const sorted = [...entries.values()]
      .slice(0, EVENTS_MAX)
      .map((entry) => ({ entry, hlc: clamp(entry.event.hlc, wall_ms) }))
      .toSorted((a, b) => compareHlc(a.hlc, b.hlc) || (a.entry.id < b.entry.id ? -1 : 1));
    let seq = fold.size;
    for (const { entry } of sorted) {
      if (fold.isFinalEntry(entry) || !reducer.counts(entry.event)) continue;
      seq += 1;
      reducer.apply({ id: entry.id, event: entry.event, seq, ts_ms: wall_ms });
    }
    return reducer;
  }
}
