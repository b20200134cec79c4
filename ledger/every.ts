import type { Clock } from './ports.ts';

/**
 * Calls `fire` every `interval_ms`, the next time counted from the end of a call. The result stops
 * it.
 */
export function every(
  clock: Pick<Clock, 'after'>,
  interval_ms: number,
  fire: () => void,
): () => void {
  let cancel = clock.after(interval_ms, function again() {
    fire();
    if (!stopped) cancel = clock.after(interval_ms, again);
  });
  let stopped = false;
  return () => {
    stopped = true;
    cancel();
  };
}
