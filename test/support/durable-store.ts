import type { Clock, StoreOp } from '#ledger/ports.ts';
import { MemoryStore } from './memory-store.ts';

/**
 * A store whose power can be cut: writes take time, become readable in their order, and only what
 * a `sync` write covered is there afterwards.
 */
export class DurableStore extends MemoryStore {
  readonly #clock: Clock;
  readonly #write_ms: number;
  readonly #durable: Map<string, Uint8Array>;
  #unsynced: StoreOp[] = [];
  #isCut = false;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock, write_ms: number, rows: Iterable<readonly [string, Uint8Array]> = []) {
    super(rows);
    this.#clock = clock;
    this.#write_ms = write_ms;
    this.#durable = new Map(this.rows);
  }

  override write(
    ops: readonly StoreOp[],
    { sync }: { readonly sync: boolean } = { sync: false },
  ): Promise<void> {
    const before = this.#last;
    const passed = new Promise<void>((resolve) => {
      if (this.#write_ms === 0) resolve();
      else this.#clock.after(this.#write_ms, resolve);
    });
    this.#last = Promise.all([before, passed]).then(() => this.#apply(ops, sync));
    return this.#last;
  }

  async #apply(ops: readonly StoreOp[], sync: boolean): Promise<void> {
    // what a machine without power was asked to write never completes
    if (this.#isCut) await new Promise<never>(() => undefined);
    await super.write(ops);
    for (const op of ops) this.#unsynced.push(op);
    if (!sync) return;
    for (const op of this.#unsynced.splice(0)) {
      if (op.type === 'put') this.#durable.set(op.key, op.value);
      else this.#durable.delete(op.key);
    }
  }

  /** What a power cut at this instant would leave; the store goes on. */
  survivors(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#durable);
  }

  /** Cuts the power; returns what is left. */
  cutPower(): ReadonlyMap<string, Uint8Array> {
    this.#isCut = true;
    return this.survivors();
  }
}
