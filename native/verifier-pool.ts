/**
 * The `Verifier` port over either engine: in the calling thread or spread over worker threads.
 * Batches are cut into chunks that wait in one queue, first come first served, so that every thread
 * stays busy until the last chunk.
 */
import { X0tError, fail } from '#ledger/errors.ts';
import type { SignatureJob, Verifier } from '#ledger/ports.ts';
import type { EngineName } from './engine.ts';
import { loadEngine } from './engine.ts';
import type { Lane } from './lane.ts';
import { threadLane } from './lane.ts';
import { WorkerLane } from './worker-lane.ts';

/** More threads than any machine here has cores; each takes some 20 MB. */
const WORKERS_MAX = 64;

export interface PoolOptions {
  readonly engine: EngineName;
  /** Worker threads; 0 verifies in the calling thread, a few jobs per turn of its event loop. */
  readonly workers: number;
  /** Hears once that no thread is left, and why the last one died. */
  readonly failed?: (error: unknown) => void;
}

interface Batch {
  readonly results: boolean[];
  readonly resolve: (results: boolean[]) => void;
  readonly reject: (error: X0tError) => void;
  chunksLeft: number;
}

interface Chunk {
  readonly batch: Batch;
  readonly start: number;
  readonly jobs: readonly SignatureJob[];
}

/**
 * Resolves when every thread has its engine. Rejects with `engine_missing`, `engine_failed` or
 * `engine_workers_out_of_range`. `verify` rejects with `engine_failed` when a thread died over its
 * jobs or none is left. The bytes of a job must not change until its call has settled.
 */
export async function createVerifierPool(options: PoolOptions): Promise<Verifier> {
  const { engine, workers } = options;
  if (!Number.isInteger(workers) || workers < 0 || workers > WORKERS_MAX) {
    fail(
      'engine_workers_out_of_range',
      `Set the worker threads to a whole number from 0 to ${WORKERS_MAX}`,
      {
        workers,
      },
    );
  }
  const local = await loadEngine(engine);
  if (workers === 0) return new VerifierPool(() => [threadLane(local)]);
  const pool = new VerifierPool((onChange) =>
    Array.from({ length: workers }, () => new WorkerLane(engine, onChange)),
  );
  await pool.started();
  pool.failed = options.failed;
  return pool;
}

class VerifierPool implements Verifier {
  readonly #lanes: readonly Lane[];
  /** Chunks not yet given to a lane. */
  #queue: Chunk[] = [];
  /** Batches that have not settled. */
  readonly #batches = new Set<Batch>();
  #closing: Promise<unknown> | undefined;
  failed: PoolOptions['failed'];
  /** Called when a lane came up or died. */
  #onStart: (() => void) | undefined;

  constructor(lanes: (onChange: () => void) => readonly Lane[]) {
    this.#lanes = lanes(() => this.#changed());
  }

  get engine(): string {
    return this.#lanes[0]?.engine ?? '';
  }

  /** Resolves when every lane is up; closes the pool and rejects when one cannot start. */
  async started(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onStart = () => {
        if (this.#lanes.every((lane) => lane.engine !== '' || !lane.isAlive())) resolve();
      };
    });
    this.#onStart = undefined;
    const dead = this.#lanes.find((lane) => !lane.isAlive());
    if (dead === undefined) return;
    await this.close();
    throw new X0tError(
      'engine_failed',
      'A verifier thread does not start; check memory limits and the installation',
      {},
      { cause: dead.lastFailure() },
    );
  }

  verify(jobs: readonly SignatureJob[]): Promise<boolean[]> {
    if (this.#closing !== undefined) return Promise.reject(closed());
    if (jobs.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const results = jobs.map(() => false);
      const batch: Batch = { results, resolve, reject, chunksLeft: 0 };
      const chunkJobs = this.#chunkJobs(jobs.length);
      for (let start = 0; start < jobs.length; start += chunkJobs) {
        this.#queue.push({ batch, start, jobs: jobs.slice(start, start + chunkJobs) });
        batch.chunksLeft += 1;
      }
      this.#batches.add(batch);
      this.#pump();
    });
  }

  async close(): Promise<void> {
    this.#closing ??= Promise.all(this.#lanes.map((lane) => lane.close()));
    this.#queue = [];
    for (const batch of this.#batches) batch.reject(closed());
    this.#batches.clear();
    await this.#closing;
  }

  /**
   * Small batches are spread over the lanes for a short wait; large ones go in chunks of the lane's
   * size.
   */
  #chunkJobs(count: number): number {
    const most = this.#lanes[0]?.chunkJobs_max ?? 1;
    return Math.min(most, Math.ceil(count / this.#lanes.length));
  }

  #changed(): void {
    this.#onStart?.();
    if (this.#lanes.some((lane) => lane.isAlive())) this.#pump();
    else this.#failAll();
  }

  /** Gives waiting chunks to whichever lane is least busy. */
  #pump(): void {
    if (!this.#lanes.some((lane) => lane.isAlive())) this.#failAll();
    while (this.#queue.length > 0) {
      const lane = this.#lanes.reduce((a, b) => (b.capacity() > a.capacity() ? b : a));
      if (lane.capacity() === 0) return;
      const chunk = this.#queue.shift();
      if (chunk === undefined || !this.#batches.has(chunk.batch)) continue;
      lane.run(chunk.jobs, (outcome) => {
        this.#settle(chunk, outcome);
        this.#pump();
      });
    }
  }

  #settle(chunk: Chunk, outcome: readonly boolean[] | X0tError): void {
    const { batch, start } = chunk;
    if (!this.#batches.has(batch)) return;
    if (outcome instanceof X0tError) {
      this.#batches.delete(batch);
      batch.reject(outcome);
      return;
    }
    for (const [index, isValid] of outcome.entries()) batch.results[start + index] = isValid;
    batch.chunksLeft -= 1;
    if (batch.chunksLeft > 0) return;
    this.#batches.delete(batch);
    batch.resolve(batch.results);
  }

  #failAll(): void {
    this.#queue = [];
    const cause = this.#lanes.find((lane) => !lane.isAlive())?.lastFailure();
    const message = 'No verifier thread is left; restart the node';
    const error = new X0tError('engine_failed', message, {}, { cause });
    for (const batch of this.#batches) batch.reject(error);
    this.#batches.clear();
    this.failed?.(error);
    this.failed = undefined;
  }
}

function closed(): X0tError {
  return new X0tError('engine_closed', 'The verifier was closed; open a new one');
}
