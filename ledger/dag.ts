import { fail } from './errors.ts';
import type { Ref } from './header.ts';
import type { Id } from './ports.ts';
import type { DagView, Vertex } from './rule.ts';

/** What is kept of an accepted block in memory: no payload. */
export interface DagBlock extends Vertex {
  readonly ts_ms: number;
  readonly hasPayload: boolean;
}

/**
 * The accepted blocks above the horizon, in memory. Parents come before children, so the past of
 * every block is whole down to the horizon. Bounded by the horizon: `GC_DEPTH` rounds below the
 * last committed leader, and by the rounds that can exist above it without a commit (the proposer's
 * fill rule keeps those few).
 */
export class Dag implements DagView<DagBlock> {
  readonly #blocks = new Map<Id, DagBlock>();
  /** Twins share a list, in the order of their ids. */
  readonly #rounds = new Map<number, Map<number, DagBlock[]>>();
  readonly #newest = new Map<number, DagBlock>();
  #top = 0;
  #horizon: number;

  /**
   * Blocks up to `horizon` count as present without being held; at the start of an epoch it is
   * below round 0.
   */
  constructor(horizon = -1) {
    this.#horizon = horizon;
  }

  get top(): number {
    return this.#top;
  }

  /**
   * Rounds up to here are out of reach: their blocks are dropped on arrival and not required as
   * parents.
   */
  get horizon(): number {
    return this.#horizon;
  }

  get size(): number {
    return this.#blocks.size;
  }

  get(id: Id): DagBlock | undefined {
    return this.#blocks.get(id);
  }

  *round(round: number): Iterable<DagBlock> {
    for (const twins of this.#rounds.get(round)?.values() ?? []) yield* twins;
  }

  slot(round: number, author: number): readonly DagBlock[] {
    return this.#rounds.get(round)?.get(author) ?? [];
  }

  /** The authors with a block in a round. */
  authors(round: number): Iterable<number> {
    return this.#rounds.get(round)?.keys() ?? [];
  }

  /** The author's block of the highest round, the lowest id of twins. */
  newest(author: number): DagBlock | undefined {
    return this.#newest.get(author);
  }

  /** The author's newest block with a round of at most `round`. */
  newestUpTo(author: number, round: number): DagBlock | undefined {
    for (let r = Math.min(round, this.#newest.get(author)?.round ?? -1); r > this.#horizon; r--) {
      const [block] = this.slot(r, author);
      if (block) return block;
    }
    return undefined;
  }

  /**
   * The parents above the horizon that are not held. A reference that gives a held block another
   * slot names a block that nobody has: else a header could claim any quorum and any round.
   */
  missing(parents: readonly Ref[]): Ref[] {
    return parents.filter(({ round, author, id }) => {
      if (round <= this.#horizon) return false;
      const held = this.#blocks.get(id);
      return held?.round !== round || held.author !== author;
    });
  }

  /** Adds a block whose parents are all present; throws `dag_hole` otherwise. Idempotent. */
  add(block: DagBlock): void {
    if (this.#blocks.has(block.id)) return;
    const [hole] = this.missing(block.parents);
    if (hole) fail('dag_hole', 'A block is added after its parents.', { id: hole.id });
    this.#blocks.set(block.id, block);
    const slots = this.#rounds.get(block.round) ?? new Map<number, DagBlock[]>();
    this.#rounds.set(block.round, slots);
    const twins = slots.get(block.author) ?? [];
    slots.set(block.author, twins);
    twins.push(block);
    twins.sort((a, b) => (a.id < b.id ? -1 : 1));
    const newest = this.#newest.get(block.author);
    if (!newest || newest.round <= block.round) {
      this.#newest.set(
        block.author,
        block.round === newest?.round ? (twins[0] as DagBlock) : block,
      );
    }
    this.#top = Math.max(this.#top, block.round);
  }

  /** Moves the horizon up and forgets what is below; returns what was forgotten. */
  prune(horizon: number): DagBlock[] {
    const gone: DagBlock[] = [];
    if (horizon <= this.#horizon) return gone;
    this.#horizon = horizon;
    for (const [round, slots] of this.#rounds) {
      if (round > horizon) continue;
      for (const twins of slots.values()) gone.push(...twins);
      this.#rounds.delete(round);
    }
    for (const { id } of gone) this.#blocks.delete(id);
    return gone;
  }
}
