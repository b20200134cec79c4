import type { Block } from './block.ts';
import type { Ref } from './header.ts';
import type { Pool } from './pool.ts';
import type { Id } from './ports.ts';

/**
 * A block that is not ordered after this may never be: nobody need build on one of twins, or on one
 * that its author left out of its own chain. Its events then wait for another block too; where both
 * are ordered, the second time counts for nothing.
 */
export const OVERDUE_MS = 10_000;

/**
 * The payloads of accepted blocks that no commit has ordered, kept at hand for it, and which of
 * them carries which event. The pool learns what is carried and what waits again.
 */
export class OpenPayloads {
  readonly #pool: Pool;
  readonly #blocks = new Map<Id, Block>();
  readonly #carriers = new Map<Id, Ref>();
  /** Blocks that are not overdue, oldest first: when they were accepted, on the monotonic clock. */
  readonly #young = new Map<Id, number>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** The block that carries an event which is not final. */
  carrierOf(event: Id): Ref | undefined {
    return this.#carriers.get(event);
  }

  get(block: Id): Block | undefined {
    return this.#blocks.get(block);
  }

  values(): Iterable<Block> {
    return this.#blocks.values();
  }

  /** An accepted block; one without entries is not kept. */
  add(block: Block, now_ms: number): void {
    if (block.entries.length === 0) return;
    this.#blocks.set(block.ref.id, block);
    this.#young.set(block.ref.id, now_ms);
    for (const { id } of block.entries) {
      this.#carriers.set(id, block.ref);
      this.#pool.carried(id);
    }
  }

  /**
   * The events of blocks that are overdue now wait again. A block that is still on its way gets the
   * same time once more.
   */
  releaseOverdue(now_ms: number, isOnItsWay: (ref: Ref) => boolean): void {
    for (const [id, since_ms] of this.#young) {
      if (now_ms - since_ms < OVERDUE_MS) return;
      this.#young.delete(id);
      const block = this.#blocks.get(id);
      if (block && isOnItsWay(block.ref)) {
        this.#young.set(id, now_ms);
        continue;
      }
      for (const entry of block?.entries ?? []) {
        if (this.#carriers.get(entry.id)?.id !== id) continue;
        this.#carriers.delete(entry.id);
        this.#pool.released(entry.id);
      }
    }
  }

  /** When the next block is overdue. */
  get nextOverdue_ms(): number | undefined {
    for (const since_ms of this.#young.values()) return since_ms + OVERDUE_MS;
    return undefined;
  }

  /** Its commit is in the store: its events are no longer held as accepted. */
  forget({ ref, entries }: Pick<Block, 'ref' | 'entries'>): void {
    this.#blocks.delete(ref.id);
    this.#young.delete(ref.id);
    for (const { id } of entries) {
      this.#carriers.delete(id);
      this.#pool.remove(id);
    }
  }

  /** The epoch is over: all blocks that no commit ordered, in the order of their coming. */
  drain(): readonly Block[] {
    const blocks = [...this.#blocks.values()];
    this.#blocks.clear();
    this.#carriers.clear();
    this.#young.clear();
    return blocks;
  }

  /**
   * It fell below the horizon without being ordered: its events wait for another block. Bare ones
   * of `self` were nowhere else.
   */
  release(id: Id, self: number | undefined): void {
    const block = this.#blocks.get(id);
    if (!block) return;
    this.#blocks.delete(id);
    this.#young.delete(id);
    for (const entry of block.entries) {
      const carrier = this.#carriers.get(entry.id);
      // another block may carry it by now
      if (carrier && carrier.id !== id) continue;
      this.#carriers.delete(entry.id);
      if (this.#pool.get(entry.id)) this.#pool.released(entry.id);
      else if (!entry.sign1 && block.header.author === self) {
        this.#pool.restore({ entry, coseKey: undefined, isOwn: true, due_ms: 0 });
      }
    }
  }
}
