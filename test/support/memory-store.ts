import type { BlockStore, FrozenRows, StoreOp, StoreRange } from '#ledger/ports.ts';

/**
 * A store in memory with the contract of the port; writes apply at once. Keys sort as UTF-16, which
 * for ASCII is their bytes.
 */
export class MemoryStore implements BlockStore {
  readonly rows: Map<string, Uint8Array>;

  constructor(rows: Iterable<readonly [string, Uint8Array]> = []) {
    this.rows = new Map(rows);
  }

  get(key: string): Uint8Array | undefined {
    return this.rows.get(key);
  }

  async write(ops: readonly StoreOp[]): Promise<void> {
    for (const op of ops) {
      if (op.type === 'put') this.rows.set(op.key, op.value);
      else this.rows.delete(op.key);
    }
  }

  range({
    gte,
    lt,
    reverse = false,
    limit = Number.POSITIVE_INFINITY,
  }: StoreRange): AsyncIterable<readonly [string, Uint8Array]> {
    const keys = [...this.rows.keys()].filter((key) => key >= gte && key < lt).toSorted();
    if (reverse) keys.reverse();
    const found = keys
      .slice(0, limit)
      .map((key) => [key, this.rows.get(key) as Uint8Array] as const);
    return (async function* rows() {
      yield* found;
    })();
  }

  frozen(): FrozenRows {
    const rows = new Map(this.rows);
    const close = (): Promise<void> => {
      rows.clear();
      return Promise.resolve();
    };
    return { get: (key) => rows.get(key), close };
  }

  async close(): Promise<void> {}
}
