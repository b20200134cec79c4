/** A terminal and npm may both hand on one Ctrl-C. */
const SAME_REQUEST_MS = 1000;

/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP, or when the program that started this one over
 * an IPC channel has ended. From a second later on another SIGINT ends the process at once, with
 * 130.
 */
export function stopRequest(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked_ms = Number.POSITIVE_INFINITY;
  const ask = (signal?: NodeJS.Signals): void => {
    const now_ms = performance.now();
    if (signal === 'SIGINT' && now_ms - asked_ms > SAME_REQUEST_MS) process.exit(130);
    asked_ms = Math.min(asked_ms, now_ms);
    resolve();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => ask(signal));
  if (process.connected) {
    process.once('disconnect', () => ask());
    // the channel alone keeps no process that has nothing left to do
    process.channel?.unref();
  }
  return promise;
}
