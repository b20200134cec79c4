import type { BlockStore, FrozenRows, StoreOp, StoreRange } from './ports.ts';

/**
 * The node's store, which tells when a write of it has failed, whoever wrote: such a store takes no
 * more writes, so the node has to end, also where the writer can go on without that write.
 */
export class WatchedStore implements BlockStore {
  readonly #store: BlockStore;
  /** Hears of every failed write, before the writer does. */
  failed: (error: unknown) => void = () => undefined;

  constructor(store: BlockStore) {
    this.#store = store;
  }

  get(key: string): Uint8Array | undefined {
    return this.#store.get(key);
  }

  async write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void> {
    try {
      await this.#store.write(ops, options);
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  range(range: StoreRange): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#store.range(range);
  }

  frozen(): FrozenRows {
    return this.#store.frozen();
  }

  async compact(from: string, to: string): Promise<void> {
    await this.#store.compact?.(from, to);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
