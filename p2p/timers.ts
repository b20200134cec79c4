/** Timers on the clock port. */
import type { Clock } from '#ledger/ports.ts';
import type { X0tError } from '#ledger/errors.ts';

export interface Deadline {
  readonly signal: AbortSignal;
  /** Aborts the signal now. */
  abort(reason: X0tError): void;
  /** Ends the timer; the signal then never fires by itself. */
  clear(): void;
}

/**
 * A signal that aborts with `reason()` after `delay_ms`. An own controller and timer, because
 * `AbortSignal.any` keeps its sources alive.
 */
export function deadline(clock: Clock, delay_ms: number, reason: () => X0tError): Deadline {
  const controller = new AbortController();
  const cancel = clock.after(delay_ms, () => controller.abort(reason()));
  return { signal: controller.signal, abort: (why) => controller.abort(why), clear: cancel };
}

/** Runs `step` with a signal that fires with `parent`, or with `reason()` after `delay_ms`. */
export async function within<T>(
  clock: Clock,
  parent: AbortSignal,
  delay_ms: number,
  reason: () => X0tError,
  step: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const cancel = clock.after(delay_ms, () => controller.abort(reason()));
  const forward = (): void => controller.abort(parent.reason);
  parent.addEventListener('abort', forward, { once: true });
  if (parent.aborted) forward();
  try {
    return await step(controller.signal);
  } finally {
    cancel();
    parent.removeEventListener('abort', forward);
  }
}
