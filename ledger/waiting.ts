import type { Block } from './block.ts';
import type { Ref } from './header.ts';
import type { Id } from './ports.ts';

/** Waiting blocks of one author: a validator that signs nonsense fills its own share only. */
const PER_AUTHOR_MAX = 256;

/**
 * Valid blocks whose parents are not all held (consensus.md 2.4). Bounded per author: the highest
 * round goes first, since the lowest is needed first.
 */
export class WaitingBlocks<B extends { readonly ref: Ref } = Block> {
  readonly #blocks = new Map<Id, { readonly block: B; readonly missing: Set<Id> }>();
  readonly #children = new Map<Id, { readonly ref: Ref; readonly children: Set<Id> }>();
  readonly #perAuthor = new Map<number, Map<Id, number>>();
  readonly #perAuthor_max: number;

  constructor(perAuthor_max = PER_AUTHOR_MAX) {
    this.#perAuthor_max = perAuthor_max;
  }

  get size(): number {
    return this.#blocks.size;
  }

  has(id: Id): boolean {
    return this.#blocks.has(id);
  }

  /** Whether some waiting block names it as parent. */
  isWanted(id: Id): boolean {
    return this.#children.has(id);
  }

  /** The parents that waiting blocks need and that do not wait themselves. */
  *wanted(): Iterable<Ref> {
    for (const [id, { ref }] of this.#children) if (!this.#blocks.has(id)) yield ref;
  }

  /** The authors whose blocks wait for it. */
  authorsWanting(id: Id): ReadonlySet<number> {
    const authors = new Set<number>();
    for (const child of this.#children.get(id)?.children ?? []) {
      const waiting = this.#blocks.get(child);
      if (waiting) authors.add(waiting.block.ref.author);
    }
    return authors;
  }

  /** The block of the lowest round, and one of the parents that it waits for. */
  get first(): { readonly block: B; readonly parent: Id } | undefined {
    let first: { readonly block: B; readonly parent: Id } | undefined;
    for (const { block, missing } of this.#blocks.values()) {
      if (first && first.block.ref.round <= block.ref.round) continue;
      const [parent] = missing;
      if (parent !== undefined) first = { block, parent };
    }
    return first;
  }

  add(block: B, missing: readonly Ref[]): void {
    const { id, author, round } = block.ref;
    if (this.#blocks.has(id)) return;
    const rounds = this.#perAuthor.get(author) ?? new Map<Id, number>();
    this.#perAuthor.set(author, rounds);
    if (rounds.size >= this.#perAuthor_max) {
      const [highest] = [...rounds].toSorted((a, b) => b[1] - a[1]);
      if (!highest || highest[1] <= round) return;
      this.#remove(highest[0]);
    }
    rounds.set(id, round);
    this.#blocks.set(id, { block, missing: new Set(missing.map((ref) => ref.id)) });
    for (const ref of missing) {
      const entry = this.#children.get(ref.id) ?? { ref, children: new Set<Id>() };
      this.#children.set(ref.id, entry);
      entry.children.add(id);
    }
  }

  /**
   * A block was accepted, or is not needed any more: returns the blocks that wait for nothing else
   * now.
   */
  resolved(id: Id): B[] {
    const ready: B[] = [];
    for (const child of this.#children.get(id)?.children ?? []) {
      const waiting = this.#blocks.get(child);
      if (!waiting) continue;
      waiting.missing.delete(id);
      if (waiting.missing.size > 0) continue;
      ready.push(waiting.block);
      this.#remove(child);
    }
    this.#children.delete(id);
    return ready;
  }

  /**
   * The horizon moved: drops blocks at or below it, and what waited only for blocks down there is
   * ready.
   */
  horizon(round: number): B[] {
    for (const [id, { block }] of this.#blocks) if (block.ref.round <= round) this.#remove(id);
    const below = [...this.#children.values()].filter(({ ref }) => ref.round <= round);
    return below.flatMap(({ ref }) => this.resolved(ref.id));
  }

  #remove(id: Id): void {
    const waiting = this.#blocks.get(id);
    if (!waiting) return;
    this.#blocks.delete(id);
    this.#perAuthor.get(waiting.block.ref.author)?.delete(id);
    for (const parent of waiting.missing) {
      const entry = this.#children.get(parent);
      entry?.children.delete(id);
      if (entry?.children.size === 0) this.#children.delete(parent);
    }
  }
}
