import type { Block } from './block.ts';
import type { Offered } from './replica-ports.ts';

/** Verified blocks that wait for the replica's next turn; who adds them bounds their bytes. */
export class BlockQueue {
  #blocks: Offered[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  push(block: Block, from: string | undefined): void {
    this.#blocks.push({ block, from });
    this.#bytes += block.bytes;
  }

  /** Takes out up to so many, oldest first. */
  take(count: number): Offered[] {
    const taken = this.#blocks.splice(0, count);
    for (const { block } of taken) this.#bytes -= block.bytes;
    return taken;
  }
}
