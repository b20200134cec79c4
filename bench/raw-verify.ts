/**
 * How fast an engine verifies with nothing around it: the same engine and the same kind of worker
 * threads as an audit has, each going round over signatures that it was given at the start. The
 * audit's own rate divided by this one says what everything else costs.
 */
import { Worker } from 'node:worker_threads';
import type { SignatureJob } from '#ledger/ports.ts';
import { toBeSigned } from '#ledger/cose.ts';
import { loadEngine } from '#native/engine.ts';
import type { EngineName } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';

/** Different keys and messages, so that no cache holds all of what a verification touches. */
const JOBS = 100;
/** Verifications between two looks at the clock. */
export const ROUND_JOBS = 50;
const EVENT_BYTES = 200;

export interface RawVerifyOptions {
  readonly workers: number;
  readonly seconds: number;
  /** `liboqs` by default. */
  readonly engine?: EngineName;
}

export interface RawVerifyRate {
  readonly engine: string;
  readonly workers: number;
  readonly seconds: number;
  readonly signatures: number;
  readonly signaturesPerSecond: number;
}

/** What a thread says once its time is over. */
export interface RawVerifyResult {
  readonly engine: string;
  readonly count: number;
  readonly elapsed_ms: number;
}

/** Verifies in all threads at once for so many seconds. */
export async function rawVerifyRate(options: RawVerifyOptions): Promise<RawVerifyRate> {
  const { workers, seconds, engine = 'liboqs' } = options;
  const jobs = await makeJobs(engine);
  const threads = Array.from({ length: workers }, () => startThread(engine, jobs));
  try {
    await Promise.all(threads.map(({ ready }) => ready));
    const results = await Promise.all(threads.map(({ run }) => run(seconds * 1000)));
    const signatures = results.reduce((sum, { count }) => sum + count, 0);
    const perSecond = results.map(({ count, elapsed_ms }) => (count * 1000) / elapsed_ms);
    return {
      engine: results[0]?.engine ?? '',
      workers,
      seconds,
      signatures,
      signaturesPerSecond: perSecond.reduce((sum, rate) => sum + rate, 0),
    };
  } finally {
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }
}

async function makeJobs(name: EngineName): Promise<readonly SignatureJob[]> {
  const engine = await loadEngine(name);
  return Promise.all(
    Array.from({ length: JOBS }, async (_, i) => {
      const { publicKey, secretKey } = await generateKeyPair();
      const message = toBeSigned('event', new Uint8Array(EVENT_BYTES).fill(i));
      const signature = await engine.createSigner(secretKey, publicKey).sign(message);
      return { publicKey, message, signature };
    }),
  );
}

function startThread(engine: EngineName, jobs: readonly SignatureJob[]) {
  const worker = new Worker(new URL('./raw-verify-worker.ts', import.meta.url), {
    workerData: { engine, jobs },
  });
  const next = () =>
    new Promise<RawVerifyResult>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  const ready = next();
  const run = (duration_ms: number) => {
    const result = next();
    worker.postMessage(duration_ms);
    return result;
  };
  return { worker, ready, run };
}

if (import.meta.main) {
  console.log(JSON.stringify(await rawVerifyRate({ workers: 2, seconds: 5 })));
}
