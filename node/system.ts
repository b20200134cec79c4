import { getRandomValues } from 'node:crypto';
import type { Clock, Entropy } from '#ledger/ports.ts';

/** Node fires longer timers at once; whoever waits so long looks again. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's clock. Timers do not keep the process alive: the API and the network do. */
export const systemClock: Clock = {
  wall_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  after(delay_ms, fire) {
    const timer = setTimeout(fire, Math.min(delay_ms, TIMER_MS_MAX));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The kernel's random numbers, through OpenSSL. */
export const systemEntropy: Entropy = {
  bytes: (count) => getRandomValues(new Uint8Array(count)),
};
