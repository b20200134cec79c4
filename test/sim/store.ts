import { X0tError } from '#ledger/errors.ts';
import type { Clock, StoreOp } from '#ledger/ports.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import type { Random } from './random.ts';

type Rows = Iterable<readonly [string, Uint8Array]>;

/** What is wrong with a disk now. */
export interface DiskState {
  /** How long a write takes, and how much longer one that is synced. */
  write_ms: number;
  sync_ms: number;
  isFull: boolean;
  failsSync: boolean;
}

/**
 * Told of every batch before anything else happens with it. What it returns is called once the
 * batch and all before it are on the disk and nobody has been told.
 */
export type WriteWatch = (
  ops: readonly StoreOp[],
  sync: boolean,
  /** Batches of turns before this one of a turn that are not written yet. */
  underWay: number,
) => (() => void) | undefined;

/**
 * A store on a disk that can lose power, be slow, full, or fail to sync. Writes become readable in
 * their order. After a power cut only what a `sync` write covered is there for sure, and of later
 * batches some prefix; a killed process loses only what it was about to write.
 */
export class SimStore extends MemoryStore {
  readonly #clock: Clock;
  readonly #disk: DiskState;
  readonly #watch: WriteWatch;
  readonly #durable: Map<string, Uint8Array>;
  /** Batches after the last synced one, in order, with those that are being written. */
  #journal: { readonly ops: readonly StoreOp[]; isApplied: boolean }[] = [];
  #isOff = false;
  #isBroken = false;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock, disk: DiskState, rows: Rows, watch: WriteWatch) {
    super(rows);
    this.#clock = clock;
    this.#disk = disk;
    this.#watch = watch;
    this.#durable = new Map(this.rows);
  }

  override async write(
    ops: readonly StoreOp[],
    { sync }: { readonly sync: boolean } = { sync: false },
  ): Promise<void> {
    if (this.#isOff) return never();
    const turns = this.#journal.filter((one) => !one.isApplied && isOfTurn(one.ops));
    const underWay = isOfTurn(ops) ? turns.length : 0;
    const cut = this.#watch(ops, sync, underWay);
    if (this.#isOff) return never();
    if (cut) {
      for (const batch of [...this.#journal.splice(0), { ops }]) apply(this.#durable, batch.ops);
      cut();
      return never();
    }
    if (this.#isBroken) throw failed();
    if (this.#disk.isFull || (sync && this.#disk.failsSync)) {
      this.#isBroken = true;
      // of a batch that failed nobody knows whether it is on the disk
      if (!this.#disk.isFull) this.#journal.push({ ops, isApplied: false });
      throw failed();
    }
    const batch = { ops, isApplied: false };
    this.#journal.push(batch);
    const before = this.#last;
    this.#last = this.#done(before, batch, sync);
    return this.#last;
  }

  async #done(
    before: Promise<void>,
    batch: { readonly ops: readonly StoreOp[]; isApplied: boolean },
    sync: boolean,
  ): Promise<void> {
    const { write_ms, sync_ms } = this.#disk;
    const delay_ms = write_ms + (sync ? sync_ms : 0);
    await before;
    if (delay_ms > 0) {
      await new Promise<void>((resolve) => {
        this.#clock.after(delay_ms, resolve);
      });
    }
    if (this.#isOff) return never();
    await super.write(batch.ops);
    batch.isApplied = true;
    if (!sync) return;
    const end = this.#journal.indexOf(batch) + 1;
    for (const { ops } of this.#journal.splice(0, end)) apply(this.#durable, ops);
  }

  /** The power goes: a prefix of what was not synced survives. */
  cutPower(random: Random): Rows {
    this.#isOff = true;
    return this.#surviving(random.between(0, this.#journal.length));
  }

  /** The process ends: what it wrote survives, and what it was writing perhaps. */
  kill(random: Random): Rows {
    this.#isOff = true;
    const applied = this.#journal.filter(({ isApplied }) => isApplied).length;
    return this.#surviving(random.between(applied, this.#journal.length));
  }

  /** A row that no power cut takes away. */
  durable(key: string): Uint8Array | undefined {
    return this.#durable.get(key);
  }

  /** The disk as a copy of it would be now; the store goes on. */
  copy(): Rows {
    return new Map(this.#durable);
  }

  #surviving(batches: number): Rows {
    for (const { ops } of this.#journal.splice(0, batches)) apply(this.#durable, ops);
    return this.#durable;
  }
}

function apply(rows: Map<string, Uint8Array>, ops: readonly StoreOp[]): void {
  for (const op of ops) {
    if (op.type === 'put') rows.set(op.key, op.value);
    else rows.delete(op.key);
  }
}

/** What a machine without power was asked never completes. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

function failed(): X0tError {
  return new X0tError('store_failed', 'The simulated disk refused a write.');
}

/** Whether a replica's turn wrote it; checkpoints, snapshots and marks are written beside turns. */
function isOfTurn(ops: readonly StoreOp[]): boolean {
  return ops.some(({ type, key }) => type === 'put' && /^(?:[bp]\/|a\/(?:fold|own)$)/.test(key));
}
