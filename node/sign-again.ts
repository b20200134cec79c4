import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '#ledger/errors.ts';
import { ApiError } from './client-errors.ts';
import { systemClock } from './system.ts';

/** What counts later than this is not waited for. */
const WAIT_MS_MAX = 2000;
/** Timers run a little early. */
const MARGIN_MS = 5;

/**
 * Sends a request, and once more where the node says that it takes what is signed from a moment on
 * (`from_s` of `signature_stale`): in its first second it does not know what it was sent before.
 * Who calls is found out before anything is done, so the first one has done nothing.
 */
export async function signedAgain<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    const wait_ms = waitOf(error);
    if (wait_ms === undefined || wait_ms > WAIT_MS_MAX) throw error;
    await sleep(wait_ms);
    return send();
  }
}

function waitOf(error: unknown): number | undefined {
  if (!(error instanceof ApiError) || codeOf(error) !== 'signature_stale') return undefined;
  const { from_s } = error.data;
  if (typeof from_s !== 'number') return undefined;
  return Math.max(0, from_s * 1000 - systemClock.wall_ms() + MARGIN_MS);
}
