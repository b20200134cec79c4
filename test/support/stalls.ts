import type { ExecutionContext } from 'ava';

const STEP_MS = 5;
/** Timers of an idle process are late by less. */
const LATE_MS = 15;

/**
 * For how long this process wanted to run and did not come to it, on a machine with other work:
 * what it did itself in the meantime counts as time that it took.
 */
export interface Stalls {
  /** Of the time since a moment of `performance.now()`, ms. */
  readonly since: (from_ms: number) => number;
}

/** Watches until the end of the test. */
export function watchStalls(t: ExecutionContext): Stalls {
  const found: { readonly end_ms: number; readonly lost_ms: number }[] = [];
  let at_ms = performance.now();
  let cpu = process.threadCpuUsage();
  const look = (): void => {
    const now_ms = performance.now();
    const { user, system } = process.threadCpuUsage(cpu);
    const lost_ms = now_ms - at_ms - (user + system) / 1000 - STEP_MS;
    if (lost_ms > LATE_MS) found.push({ end_ms: now_ms, lost_ms });
    at_ms = now_ms;
    cpu = process.threadCpuUsage();
  };
  const timer = setInterval(look, STEP_MS);
  t.teardown(() => clearInterval(timer));
  return {
    since: (from_ms) => {
      look();
      return found.reduce((sum, { end_ms, lost_ms }) => {
        return sum + Math.max(0, Math.min(lost_ms, end_ms - from_ms));
      }, 0);
    },
  };
}
