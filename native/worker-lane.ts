/**
 * A lane that is one worker thread. A thread that dies fails the chunks it held with
 * `engine_failed` and is replaced, unless several in a row died without an answer: then the lane is
 * dead. The thread holds the process only while it starts or works.
 */
import { Worker } from 'node:worker_threads';
import { X0tError } from '#ledger/errors.ts';
import type { SignatureJob } from '#ledger/ports.ts';
import type { EngineName } from './engine.ts';
import type { ChunkDone, Lane } from './lane.ts';
import { packJobs } from './packed-jobs.ts';

/** Jobs in a chunk: about 2 ms of work, against some 50 µs for a message there and back. */
const CHUNK_JOBS_MAX = 16;
/** One chunk at work and one waiting, so that the thread never idles between two. */
const CHUNKS_UNDER_WAY_MAX = 2;
/** Threads in a row that may die without having answered a chunk. */
const DEATHS_MAX = 3;
/** Bounds for V8's heap of one thread; jobs and WebAssembly memory (8.5 MB) lie outside it. */
const RESOURCE_LIMITS = {
  maxOldGenerationSizeMb: 128,
  maxYoungGenerationSizeMb: 8,
  stackSizeMb: 2,
};

export class WorkerLane implements Lane {
  readonly chunkJobs_max = CHUNK_JOBS_MAX;
  engine = '';

  readonly #name: EngineName;
  /** Called when the lane can take more, or has died. */
  readonly #onChange: () => void;

  /** The thread and what belongs to it. */
  #worker: Worker | undefined;
  #isUp = false;
  #waiting: ChunkDone[] = [];
  /** Kept over a respawn: what the last thread died of. */
  #failure: unknown;

  #deaths = 0;
  #isClosed = false;

  constructor(name: EngineName, onChange: () => void) {
    this.#name = name;
    this.#onChange = onChange;
    this.#spawn();
  }

  capacity(): number {
    return this.#isUp ? CHUNKS_UNDER_WAY_MAX - this.#waiting.length : 0;
  }

  isAlive(): boolean {
    return !this.#isClosed && this.#deaths <= DEATHS_MAX;
  }

  lastFailure(): unknown {
    return this.#failure;
  }

  run(jobs: readonly SignatureJob[], done: ChunkDone): void {
    const packed = packJobs(jobs);
    this.#waiting.push(done);
    this.#worker?.ref();
    this.#worker?.postMessage(packed, [packed]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#isUp = false;
    this.#waiting = [];
    // Referenced again, so that the process lives until the thread has ended.
    this.#worker?.ref();
    await this.#worker?.terminate();
  }

  #spawn(): void {
    this.#worker = new Worker(new URL('./verifier-worker.ts', import.meta.url), {
      workerData: { engine: this.#name },
      name: 'x0t-verify',
      resourceLimits: RESOURCE_LIMITS,
    });
    this.#worker.on('message', (message: Uint8Array | { engine: string }) =>
      this.#receive(message),
    );
    this.#worker.on('error', (error: unknown) => {
      this.#failure = error;
    });
    this.#worker.on('exit', (code) => this.#died(code));
  }

  #receive(message: Uint8Array | { engine: string }): void {
    if (this.#isClosed) return;
    if (message instanceof Uint8Array) {
      this.#deaths = 0;
      this.#waiting.shift()?.(Array.from(message, (byte) => byte === 1));
    } else {
      this.engine = message.engine;
      this.#isUp = true;
    }
    this.#onChange();
    if (this.#waiting.length === 0) this.#worker?.unref();
  }

  #died(code: number): void {
    const cause = this.#failure ?? new Error(`The thread ended with code ${code}`);
    this.#worker = undefined;
    this.#isUp = false;
    if (this.#isClosed) return;
    this.#deaths += 1;
    const lost = this.#waiting;
    this.#waiting = [];
    if (this.isAlive()) this.#spawn();
    const error = new X0tError(
      'engine_failed',
      'A verifier thread died; verify again, and restart the node if it happens repeatedly',
      { engine: this.#name },
      { cause },
    );
    for (const done of lost) done(error);
    this.#onChange();
  }
}
