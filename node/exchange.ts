import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { X0tError } from '#ledger/errors.ts';

/** Requests by Node's own HTTP client, which knows of no proxy, answered as `fetch` answers. */

export interface DirectRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal;
}

/** Follows no redirect: it is the answer. Rejects as `fetch` does, with the reason as cause. */
export type DirectFetch = (url: URL, request: DirectRequest) => Promise<Response>;

/** Statuses whose answers have no body (Fetch, section 2.2.3). */
const BODYLESS = new Set([204, 205, 304]);

/**
 * Sends the request and gives its answer. `assertPeer` is asked before a byte of the request is
 * written, and again for every part of the answer: what it throws ends both. Rejects with that, or
 * as a `DirectFetch`.
 */
export function exchange(
  sent: ClientRequest,
  { body, signal }: Pick<DirectRequest, 'body' | 'signal'>,
  assertPeer?: (socket: Socket) => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown): void => {
      if (signal?.aborted) reject(signal.reason);
      else reject(cause instanceof X0tError ? cause : new TypeError('fetch failed', { cause }));
    };
    sent.on('error', failed);
    sent.once('socket', (socket) => {
      try {
        assertPeer?.(socket);
      } catch (error) {
        failed(error);
        sent.destroy();
      }
    });
    sent.on('response', (answer) => {
      const { socket } = answer;
      try {
        resolve(responseOf(answer, assertPeer && (() => assertPeer(socket))));
      } catch (error) {
        failed(error);
      }
    });
    sent.end(body);
  });
}

function responseOf(answer: IncomingMessage, assertPeer: (() => void) | undefined): Response {
  const { statusCode: status = 500, headersDistinct } = answer;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  if (BODYLESS.has(status)) {
    answer.resume();
    return new Response(null, { status, headers });
  }
  const parts = assertPeer ? Readable.from(proved(answer, assertPeer)) : answer;
  return new Response(Readable.toWeb(parts) as ReadableStream<Uint8Array>, { status, headers });
}

async function* proved(
  answer: AsyncIterable<Uint8Array>,
  assertPeer: () => void,
): AsyncIterable<Uint8Array> {
  for await (const part of answer) {
    assertPeer();
    yield part;
  }
}
