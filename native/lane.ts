/** Where chunks of jobs are verified: a lane is the calling thread or one worker thread. */
import { X0tError } from '#ledger/errors.ts';
import type { SignatureJob } from '#ledger/ports.ts';
import type { Engine } from './engine.ts';

/** Called once per chunk with one boolean per job in order, or with why there are none. */
export type ChunkDone = (outcome: readonly boolean[] | X0tError) => void;

export interface Lane {
  /** Name and version of the engine; empty before the lane is up. */
  readonly engine: string;
  /** Jobs in a chunk at most. */
  readonly chunkJobs_max: number;
  /** Chunks it would take now; 0 while starting or for good. */
  capacity(): number;
  /** False once it will never take a chunk again. */
  isAlive(): boolean;
  /** Why the last thread of the lane ended, where it did. */
  lastFailure(): unknown;
  /** Takes a chunk; only while `capacity()` is positive. `done` is called later, never within. */
  run(jobs: readonly SignatureJob[], done: ChunkDone): void;
  /** Chunks under way are dropped without a call of `done`. Idempotent. */
  close(): Promise<void>;
}

/** Jobs verified before the event loop gets its turn: 8 take about 1 ms. */
const THREAD_CHUNK_JOBS = 8;

/** The calling thread, one chunk per turn of the event loop. */
export function threadLane(engine: Engine): Lane {
  let isBusy = false;
  let isClosed = false;
  return {
    engine: engine.engine,
    chunkJobs_max: THREAD_CHUNK_JOBS,
    capacity: () => (isBusy || isClosed ? 0 : 1),
    isAlive: () => !isClosed,
    lastFailure: () => undefined,
    run(jobs, done) {
      isBusy = true;
      setImmediate(() => {
        isBusy = false;
        if (!isClosed) done(attempt(engine, jobs));
      });
    },
    async close() {
      isClosed = true;
    },
  };
}

function attempt(engine: Engine, jobs: readonly SignatureJob[]): readonly boolean[] | X0tError {
  try {
    return jobs.map((job) => engine.verify(job));
  } catch (cause) {
    return new X0tError(
      'engine_failed',
      'The engine failed while verifying',
      { engine: engine.engine },
      { cause },
    );
  }
}
