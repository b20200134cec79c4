/**
 * The thread behind a `WorkerLane`: says `{ engine }` once loaded, then answers each packed buffer,
 * in order, with one byte per job. An error of the engine ends the thread; the lane reports it and
 * starts another.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { fail } from '#ledger/errors.ts';
import { loadEngine } from './engine.ts';
import { unpackJobs } from './packed-jobs.ts';

const port =
  parentPort ?? fail('engine_failed', 'Start verifier-worker.ts as a worker thread only');
const engine = await loadEngine(workerData.engine);

port.on('message', (packed: ArrayBuffer) => {
  const results: number[] = [];
  for (const job of unpackJobs(packed)) {
    results.push(job !== undefined && engine.verify(job) ? 1 : 0);
  }
  const bytes = Uint8Array.from(results);
  port.postMessage(bytes, [bytes.buffer]);
});
port.postMessage({ engine: engine.engine });
