import { Worker } from 'node:worker_threads';
import type { Committee, Validator } from '#ledger/committee.ts';
import { X0tError } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';
import type { EngineName } from '#native/engine.ts';
import type { Chunk, ChunkResult } from './chunks.ts';

/** Chunks at one thread: one at work, one waiting, so that it never idles between two. */
const CHUNKS_PER_WORKER = 2;

/** A committee as it goes to the threads. */
export interface NewSeats {
  readonly epoch: number;
  readonly validators: readonly Validator[];
  readonly base: Id;
}

interface Seat {
  readonly worker: Worker;
  readonly waiting: {
    readonly resolve: (result: ChunkResult) => void;
    readonly reject: (error: unknown) => void;
  }[];
}

/** Worker threads that check chunks. Opened by `startCrew`. */
export class Crew {
  readonly engine: string;
  readonly #seats: readonly Seat[];

  constructor(engine: string, seats: readonly Seat[]) {
    this.engine = engine;
    this.#seats = seats;
  }

  /** Chunks that keep every thread busy. */
  get capacity(): number {
    return this.#seats.length * CHUNKS_PER_WORKER;
  }

  /** Gives the chunk's bytes away; they come back with the result. Rejects with `engine_failed`. */
  check({ bytes, units, keys }: Chunk): Promise<ChunkResult> {
    const seat = this.#seats.reduce((a, b) => (b.waiting.length < a.waiting.length ? b : a));
    return new Promise((resolve, reject) => {
      seat.waiting.push({ resolve, reject });
      const moved = [bytes.buffer, keys.buffer];
      seat.worker.postMessage({ bytes, units, keys }, moved);
    });
  }

  /** Chunks that are given from now on are of this committee's epoch. */
  sit({ epoch, validators, base }: Committee): void {
    const seats: NewSeats = { epoch, validators, base: base as Id };
    for (const { worker } of this.#seats) worker.postMessage(seats);
  }

  async close(): Promise<void> {
    await Promise.all(this.#seats.map(({ worker }) => worker.terminate()));
  }
}

/** Starts the threads; rejects with `engine_failed` where one does not come up. */
export async function startCrew(
  workers: number,
  engine: EngineName,
  genesis: Uint8Array,
): Promise<Crew> {
  const starting = Array.from({ length: workers }, () => startSeat(engine, genesis));
  const started = await Promise.allSettled(starting);
  const seats = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const crew = new Crew(seats[0]?.engine ?? '', seats);
  const failed = started.find((one) => one.status === 'rejected');
  if (!failed) return crew;
  await crew.close();
  throw failed.reason;
}

function startSeat(engine: EngineName, genesis: Uint8Array): Promise<Seat & { engine: string }> {
  const worker = new Worker(new URL('./audit-worker.ts', import.meta.url), {
    workerData: { engine, genesis },
    name: 'x0t-audit',
  });
  const waiting: Seat['waiting'] = [];
  return new Promise((resolve, reject) => {
    let lastError: unknown;
    worker.once('message', ({ engine: name }: { engine: string }) => {
      worker.on('message', (result: ChunkResult) => waiting.shift()?.resolve(result));
      resolve({ worker, waiting, engine: name });
    });
    worker.on('error', (error: unknown) => {
      lastError = error;
    });
    worker.on('exit', () => {
      const message = 'A thread of the audit died: check memory and the installation.';
      const error = new X0tError('engine_failed', message, { engine }, { cause: lastError });
      reject(error);
      for (const { reject: lost } of waiting.splice(0)) lost(error);
    });
  });
}
