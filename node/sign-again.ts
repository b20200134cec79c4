import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '#ledger/errors.ts';
import { isLoopbackUrl } from '#node/auth/request-target.ts';
import { ApiError } from './client-errors.ts';
import { systemClock } from './system.ts';

/** What counts later than this is not waited for. */
const WAIT_MS_MAX = 2000;
/** Timers run a little early. */
const MARGIN_MS = 5;
/** No node names a second that is further after that in which the request was signed. */
const LATER_S_MAX = 12;

type Fields = Readonly<Record<string, string>>;

export interface SignedRequest<T> {
  readonly method: string;
  readonly url: URL;
  /** The headers, signed anew each time. */
  readonly sign: () => Promise<Fields>;
  readonly send: (headers: Fields) => Promise<T>;
}

/**
 * Sends a request, and once more where the node says that it takes what is signed from a moment on
 * (`from_s` of `signature_stale`): in its first second it does not know what it was sent before.
 * Who calls is found out before anything is done, so the first one has done nothing. Where others
 * may answer in the node's name, it may have done all: there only what does nothing a second time
 * is signed again.
 */
export async function signedAgain<T>(request: SignedRequest<T>): Promise<T> {
  const headers = await request.sign();
  try {
    return await request.send(headers);
  } catch (error) {
    const wait_ms = waitOf(error, createdOf(headers));
    if (wait_ms === undefined || wait_ms > WAIT_MS_MAX || !mayRepeat(request)) throw error;
    await sleep(wait_ms);
  }
  return request.send(await request.sign());
}

function mayRepeat({ method, url }: SignedRequest<unknown>): boolean {
  if (url.protocol === 'https:' || isLoopbackUrl(url)) return true;
  // an event is one by its id, however often it comes
  return method === 'GET' || (method === 'POST' && url.pathname.endsWith('/v1/events'));
}

/** The second in which a request says that it was signed. */
function createdOf(headers: Fields): number | undefined {
  const input = new Headers(headers).get('signature-input') ?? '';
  const [, created] = /;created=(\d+)/.exec(input) ?? [];
  return created === undefined ? undefined : Number(created);
}

function waitOf(error: unknown, created_s: number | undefined): number | undefined {
  if (!(error instanceof ApiError) || codeOf(error) !== 'signature_stale') return undefined;
  const { from_s } = error.data;
  if (typeof from_s !== 'number' || created_s === undefined) return undefined;
  if (from_s <= created_s || from_s > created_s + LATER_S_MAX) return undefined;
  return Math.max(0, from_s * 1000 - systemClock.wall_ms() + MARGIN_MS);
}
