import type { Clock, SignatureJob, Verifier } from '#ledger/ports.ts';
import type { Engine } from './engine.ts';

/** A batch up to this size is worth no trip to another thread when there is time. */
const QUICK_JOBS_MAX = 2;
/** Jobs that the calling thread verifies in the long run: about a twentieth of its time. */
const QUICK_JOBS_PER_S = 200;
/** Jobs that it verifies at once after a pause: the blocks of a few rounds. */
const QUICK_JOBS_BURST = 40;

/**
 * A verifier that checks small batches at once in the calling thread while they are few, and gives
 * everything else to `pool`. A lone event takes five rounds of small blocks to be final; waking a
 * thread for each costs more than the check. Under load the calling thread has better things to do.
 * The contract is the pool's.
 */
export function quickVerifier(
  pool: Verifier,
  engine: Engine,
  clock: Pick<Clock, 'monotonic_ms'>,
): Verifier {
  let tokens = QUICK_JOBS_BURST;
  let last_ms = clock.monotonic_ms();
  let isClosed = false;
  const take = (count: number): boolean => {
    const now_ms = clock.monotonic_ms();
    tokens = Math.min(QUICK_JOBS_BURST, tokens + ((now_ms - last_ms) * QUICK_JOBS_PER_S) / 1000);
    last_ms = now_ms;
    if (tokens < count) return false;
    tokens -= count;
    return true;
  };
  return {
    engine: pool.engine,
    async verify(jobs: readonly SignatureJob[]) {
      const isQuick = !isClosed && jobs.length <= QUICK_JOBS_MAX && take(jobs.length);
      return isQuick ? jobs.map((job) => engine.verify(job)) : pool.verify(jobs);
    },
    close() {
      isClosed = true;
      return pool.close();
    },
  };
}
