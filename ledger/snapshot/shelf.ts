import { decodeCertificate } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import type { Certifier } from '#ledger/certifier.ts';
import { decodeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { decode, encode } from '#ledger/codec.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Fold } from '#ledger/fold.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import type { BlockStore, Clock, Log, StoreOp } from '#ledger/ports.ts';
import { deleteRange } from './delete.ts';
import { CHUNK_BYTES, encodeRows } from './format.ts';
import type { Row } from './format.ts';

/** A snapshot that the log has left behind this far is made anew when somebody asks. */
const STALE_EVENTS = 10_000;
/** But copying the state again and again would only serve those who ask again and again. */
const AGAIN_MS = 60_000;
/** Nor is a copy begun sooner than this after the one before, whatever became of that. */
const PAUSE_MS = 2000;
/** Held at once: the one before stays for those who are reading it. */
const HELD_MAX = 2;

/** A whole snapshot in the store; `keys.ts` says where its chunks are. */
export interface Held {
  readonly certificate: Certificate;
  readonly before: Checkpoint | undefined;
  readonly chunks: number;
  readonly rows: number;
  readonly bytes: number;
  readonly size: number;
}

interface Making {
  readonly checkpoint: Checkpoint;
  before: Checkpoint | undefined;
  /** Set when all rows are copied. */
  copied: Pick<Held, 'chunks' | 'rows' | 'bytes'> | undefined;
}

export interface ShelfParts {
  readonly store: BlockStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly certifier: Certifier;
  /** The fold at present. */
  readonly fold: () => Fold;
  /** Makes the replica take a turn. */
  readonly wake: () => void;
}

/**
 * The snapshots that this node can give to others. One is made when it is asked for: at the next
 * cut of the log, from iterators that see the store as it was then, so that the node goes on while
 * they are copied, chunk by chunk. It is given once the cut is certified. Nothing is made, and no
 * row copied, in a network where nobody asks.
 */
export class Shelf {
  readonly #parts: ShelfParts;
  #held: Held[] = [];
  #isWanted = false;
  #making: Making | undefined;
  #made_ms = Number.NEGATIVE_INFINITY;
  /** The newest cut of this node. */
  #cut: Checkpoint | undefined;
  #isStopped = false;

  constructor(parts: ShelfParts, newest: Checkpoint | undefined) {
    this.#parts = parts;
    this.#cut = newest;
    parts.certifier.onCertified((certificate) => {
      this.#certified(certificate).catch((error: unknown) => this.#failed(error));
    });
  }

  /** Reads what is held, and drops what was not finished. Call it before anything is made. */
  async open(): Promise<void> {
    const { store } = this.#parts;
    this.#held = [];
    for await (const [, row] of store.range(prefixRange('y/head/'))) {
      this.#held.push(decodeHeld(row));
    }
    const sizes = new Set(this.#held.map(({ size }) => storeKeys.snapshotChunk(size, 0)));
    const loose: StoreOp[] = [];
    for await (const [key] of store.range(prefixRange('y/rows/'))) {
      const first = storeKeys.snapshotChunk(0, 0).length - 8;
      if (!sizes.has(`${key.slice(0, first)}00000000`)) loose.push({ type: 'del', key });
    }
    if (loose.length > 0) await store.write(loose, { sync: false });
  }

  /** What is being made is of a log that is replaced. */
  cancel(): void {
    this.#isWanted = false;
    this.#making = undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.cancel();
  }

  /** Sizes of what is held, ascending. */
  get sizes(): readonly number[] {
    return this.#held.map(({ size }) => size);
  }

  at(size: number): Held | undefined {
    return this.#held.find((one) => one.size === size);
  }

  /** The newest one, if it is fresh enough to be worth fetching; else one is made. */
  fresh(): Held | undefined {
    const newest = this.#held.at(-1);
    const since_ms = this.#parts.clock.monotonic_ms() - this.#made_ms;
    const behind = this.#parts.fold().size - (newest?.size ?? 0);
    if (newest && (since_ms < AGAIN_MS || behind <= STALE_EVENTS)) return newest;
    if (!this.#making && !this.#isStopped && since_ms >= PAUSE_MS) {
      this.#isWanted = true;
      this.#parts.wake();
    }
    return undefined;
  }

  /** Whether the replica should leave the store at a cut, if it makes one. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** The log was cut. */
  cut(checkpoint: Checkpoint): void {
    this.#cut = checkpoint;
  }

  /** The store holds exactly what the fold does; called between turns, and at once. */
  stands(): void {
    const { fold, store, clock } = this.#parts;
    if (!this.#isWanted || this.#making || this.#cut?.size !== fold().size) return;
    this.#isWanted = false;
    this.#made_ms = clock.monotonic_ms();
    const { lastSize } = fold().cuts;
    // both see the store as it is now
    const iterators = ['s/', 'w/'].map((prefix) => store.range(prefixRange(prefix)));
    const making: Making = { checkpoint: this.#cut, before: undefined, copied: undefined };
    this.#making = making;
    void this.#make(making, lastSize, iterators);
  }

  async #make(
    making: Making,
    lastSize: number,
    iterators: readonly AsyncIterable<Row>[],
  ): Promise<void> {
    const { checkpoint } = making;
    try {
      making.before = await this.#before(checkpoint, lastSize);
      making.copied = await this.#copy(making, iterators);
      if (!making.copied) return;
      const certificate = this.#parts.certifier.store.certificate(checkpoint);
      if (certificate?.checkpoint.id === checkpoint.id) await this.#finish(certificate);
    } catch (error) {
      if (this.#making === making) this.#making = undefined;
      this.#failed(error);
    }
  }

  /** Nobody depends on it: who wants one asks again. */
  #failed(error: unknown): void {
    this.#parts.log.warn({ code: codeOf(error) }, 'a snapshot could not be made');
  }

  /** Nothing where it was cancelled. */
  async #copy(
    making: Making,
    iterators: readonly AsyncIterable<Row>[],
  ): Promise<Making['copied']> {
    const { store } = this.#parts;
    const { size } = making.checkpoint;
    const total = { chunks: 0, rows: 0, bytes: 0 };
    let chunk: Row[] = [];
    let chunkBytes = 0;
    const close = async (): Promise<void> => {
      if (chunk.length === 0) return;
      const key = storeKeys.snapshotChunk(size, total.chunks);
      await store.write([{ type: 'put', key, value: encodeRows(chunk) }], { sync: false });
      total.chunks += 1;
      chunk = [];
      chunkBytes = 0;
    };
    for (const iterator of iterators) {
      for await (const row of iterator) {
        if (this.#making !== making) return undefined;
        const bytes = row[0].length + row[1].length;
        chunk.push(row);
        chunkBytes += bytes;
        total.rows += 1;
        total.bytes += bytes;
        if (chunkBytes >= CHUNK_BYTES) await close();
      }
    }
    await close();
    return total;
  }

  /** What an idle cut names as `prev`. */
  async #before(checkpoint: Checkpoint, lastSize: number): Promise<Checkpoint | undefined> {
    if (checkpoint.cut !== 'idle' || lastSize === 0) return undefined;
    const gte = storeKeys.ownCheckpointsFrom(lastSize);
    const lt = storeKeys.ownCheckpointsFrom(lastSize + 1);
    for await (const [, row] of this.#parts.store.range({ gte, lt })) {
      const found = decodeCheckpoint(row);
      if (found.id === checkpoint.prev) return found;
    }
    return undefined;
  }

  async #certified(certificate: Certificate): Promise<void> {
    const { checkpoint } = this.#making ?? {};
    if (!checkpoint || !this.#making?.copied || this.#isStopped) return;
    if (certificate.checkpoint.id === checkpoint.id) await this.#finish(certificate);
    else if (certificate.checkpoint.size > checkpoint.size) await this.#giveUp(checkpoint.size);
  }

  async #finish(certificate: Certificate): Promise<void> {
    const { checkpoint, before, copied } = this.#making ?? {};
    this.#making = undefined;
    if (!checkpoint || !copied) return;
    const { size } = checkpoint;
    const held: Held = { certificate, before, ...copied, size };
    const { store, log } = this.#parts;
    const op: StoreOp = { type: 'put', key: storeKeys.snapshot(size), value: encodeHeld(held) };
    await store.write([op], { sync: false });
    this.#held = [...this.#held.filter((one) => one.size !== size), held].toSorted(
      (a, b) => a.size - b.size,
    );
    log.info({ size, rows: held.rows, bytes: held.bytes }, 'a snapshot of the state was made');
    for (const old of this.#held.slice(0, -HELD_MAX)) await this.#drop(old.size);
  }

  /** A later cut was certified, and nobody needs votes for this one any more. */
  async #giveUp(size: number): Promise<void> {
    this.#making = undefined;
    if (!this.at(size)) await this.#drop(size);
  }

  /** Drops those that cover less than `size`: what follows them is about to be pruned. */
  async dropBelow(size: number): Promise<void> {
    for (const old of this.#held) if (old.size < size) await this.#drop(old.size);
  }

  async #drop(size: number): Promise<void> {
    const { store } = this.#parts;
    this.#held = this.#held.filter((one) => one.size !== size);
    await store.write([{ type: 'del', key: storeKeys.snapshot(size) }], { sync: false });
    const gte = storeKeys.snapshotChunk(size, 0);
    const lt = storeKeys.snapshotChunk(size + 1, 0);
    await deleteRange(store, { gte, lt });
  }
}

function encodeHeld({ certificate, before, chunks, rows, bytes }: Held): Uint8Array {
  return encode([certificate.bytes, before?.bytes ?? null, chunks, rows, bytes]);
}

function decodeHeld(row: Uint8Array): Held {
  const [bytes0, prev, chunks, rows, bytes] = decode(row) as readonly [
    Uint8Array,
    Uint8Array | null,
    number,
    number,
    number,
  ];
  const certificate = decodeCertificate(bytes0);
  const before = prev ? decodeCheckpoint(prev) : undefined;
  return { certificate, before, chunks, rows, bytes, size: certificate.checkpoint.size };
}
