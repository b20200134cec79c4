import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What was signed in the second in which a node started is refused: resolves in a later one. Timers
 * run a little early.
 */
export async function nextSecond(): Promise<void> {
  const second = Math.floor(Date.now() / 1000);
  while (Math.floor(Date.now() / 1000) === second) await sleep(1000 - (Date.now() % 1000));
}
