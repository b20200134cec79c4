import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import test from 'ava';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';

async function validJobs(count: number) {
  const { publicKey, secretKey } = await generateKeyPair();
  const message = new Uint8Array(100);
  const signature = await (
    await loadEngine('liboqs')
  )
    .createSigner(secretKey, publicKey)
    .sign(message);
  return Array.from({ length: count }, () => ({ publicKey, message, signature }));
}

/** Threads that the process starts while `run` is under way; `process` tells of each. */
async function watchingThreads<T>(
  seen: (worker: Worker) => void,
  run: () => Promise<T>,
): Promise<T> {
  process.on('worker', seen);
  return run().finally(() => process.off('worker', seen));
}

/** A buffer that no lane sends: it is too short to unpack, and the thread dies of the throw. */
function crash(worker: Worker | undefined): void {
  worker?.postMessage(new ArrayBuffer(2));
}

test.serial(
  'a thread that dies fails its jobs with engine_failed, and another takes its place',
  async (t) => {
    const threads: Worker[] = [];
    await watchingThreads(
      (worker) => threads.push(worker),
      async () => {
        const pool = await createVerifierPool({ engine: 'liboqs', workers: 1 });
        t.is(threads.length, 1);
        const jobs = await validJobs(800);
        const doomed = t.throwsAsync(pool.verify(jobs), { code: 'engine_failed' });
        crash(threads[0]);
        await doomed;
        t.deepEqual(
          await pool.verify(jobs),
          Array.from({ length: 800 }, () => true),
        );
        t.is(threads.length, 2);
        await pool.close();
      },
    );
  },
);

test.serial('with two threads, batches that the dead one held nothing of go through', async (t) => {
  const threads: Worker[] = [];
  await watchingThreads(
    (worker) => threads.push(worker),
    async () => {
      const pool = await createVerifierPool({ engine: 'liboqs', workers: 2 });
      const jobs = await validJobs(640);
      const settled = Promise.allSettled([pool.verify(jobs), pool.verify(jobs), pool.verify(jobs)]);
      crash(threads[0]);
      const [first, second, last] = await settled;
      t.true(first.status === 'rejected' || second.status === 'rejected');
      t.deepEqual(last, { status: 'fulfilled', value: Array.from({ length: 640 }, () => true) });
      await pool.close();
    },
  );
});

test.serial('a thread that dies again and again is given up, and the pool says so', async (t) => {
  const threads: Worker[] = [];
  const told: unknown[] = [];
  const failed = (error: unknown): void => void told.push(error);
  const pool = await watchingThreads(
    (worker) => threads.push(worker),
    () => createVerifierPool({ engine: 'liboqs', workers: 1, failed }),
  );
  const jobs = await validJobs(800);
  t.deepEqual(await pool.verify(jobs.slice(0, 1)), [true]);
  let started = 1;
  await watchingThreads(
    (worker) => {
      started += 1;
      crash(worker);
    },
    async () => {
      crash(threads[0]);
      // One for each death that is allowed in a row, and one for the death that is not.
      for (let death = 0; death < 4; death += 1) {
        await t.throwsAsync(pool.verify(jobs), { code: 'engine_failed' });
      }
    },
  );
  t.is(started, 4);
  const refused = await t.throwsAsync(pool.verify(jobs), { code: 'engine_failed' });
  t.regex(refused.message, /No verifier thread is left/);
  t.like(told, { length: 1, 0: { code: 'engine_failed' } });
  await pool.close();
  await t.throwsAsync(pool.verify(jobs), { code: 'engine_closed' });
});

test('a pool whose threads cannot start rejects with engine_failed and the reason', async (t) => {
  const script = `
    import { createVerifierPool } from '#native/verifier-pool.ts';
    await createVerifierPool({ engine: 'openssl', workers: 2 }).catch(({ code, cause }) => {
      console.log(code, cause.code);
    });
  `;
  // Threads inherit this option, and Node then refuses to start one from a file.
  const args = ['--input-type=module', '--eval', script];
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 120_000 });
  t.is(stdout, 'engine_failed ERR_INPUT_TYPE_NOT_ALLOWED\n');
});

test.serial('in the calling thread, timers run between chunks of a large batch', async (t) => {
  const pool = await createVerifierPool({ engine: 'liboqs', workers: 0 });
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, 1);
  await pool.verify(await validJobs(200));
  clearInterval(timer);
  t.true(ticks >= 5, `${ticks} ticks`);
  await pool.close();
});

test('the number of workers is bounded', async (t) => {
  for (const workers of [-1, 1.5, 65, Number.NaN]) {
    await t.throwsAsync(createVerifierPool({ engine: 'liboqs', workers }), {
      code: 'engine_workers_out_of_range',
    });
  }
});

test('an idle pool does not hold the process, and one at work does', async (t) => {
  const script = fileURLToPath(new URL('./idle-pool.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 120_000 });
  t.is(stdout, '100\n');
});
