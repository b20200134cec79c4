/** The thread behind `rawVerifyRate`: told for how long, it answers how many it verified. */
import { parentPort, workerData } from 'node:worker_threads';
import type { SignatureJob } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { ROUND_JOBS } from './raw-verify.ts';
import type { RawVerifyResult } from './raw-verify.ts';

const engine = await loadEngine(workerData.engine);
const jobs = workerData.jobs as readonly SignatureJob[];

function run(duration_ms: number): RawVerifyResult {
  const start_ms = performance.now();
  let count = 0;
  let elapsed_ms = 0;
  while (elapsed_ms < duration_ms) {
    for (let i = 0; i < ROUND_JOBS; i++) {
      const job = jobs[count % jobs.length] as SignatureJob;
      if (!engine.verify(job)) throw new Error('a signature that was right is called wrong');
      count += 1;
    }
    elapsed_ms = performance.now() - start_ms;
  }
  return { engine: engine.engine, count, elapsed_ms };
}

parentPort?.on('message', (duration_ms: number) => parentPort?.postMessage(run(duration_ms)));
parentPort?.postMessage({ engine: engine.engine, count: 0, elapsed_ms: 0 });
