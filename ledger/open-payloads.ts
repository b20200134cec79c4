import type { Block } from './block.ts';
import type { Ref } from './header.ts';
import type { Pool } from './pool.ts';
import type { Id } from './ports.ts';

/**
 * The payloads of accepted blocks that no commit has ordered, kept at hand for it, and which of
 * them carries which event. The pool learns what is carried and what waits again.
 */
export class OpenPayloads {
  readonly #pool: Pool;
  readonly #blocks = new Map<Id, Block>();
  readonly #carriers = new Map<Id, Ref>();

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
  add(block: Block): void {
    if (block.entries.length === 0) return;
    this.#blocks.set(block.ref.id, block);
    for (const { id } of block.entries) {
      this.#carriers.set(id, block.ref);
      this.#pool.carried(id);
    }
  }

  /** Its commit is in the store: its events are no longer held as accepted. */
  forget({ ref, entries }: Pick<Block, 'ref' | 'entries'>): void {
    this.#blocks.delete(ref.id);
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
    for (const entry of block.entries) {
      this.#carriers.delete(entry.id);
      if (this.#pool.get(entry.id)) this.#pool.released(entry.id);
      else if (!entry.sign1 && block.header.author === self) {
        this.#pool.restore({ entry, coseKey: undefined, isOwn: true, due_ms: 0 });
      }
    }
  }
}
