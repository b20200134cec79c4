import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { Readable } from 'node:stream';

/**
 * `fetch` for this machine. With NODE_USE_ENV_PROXY the one of Node sends everything to the proxy
 * that the environment names, also what is meant for a loopback address; agents that are made here
 * know of no proxy.
 */

const agents = { 'http:': new Agent({ keepAlive: true }), 'https:': new TlsAgent() };
/** Statuses whose answers have no body (Fetch, section 2.2.3). */
const BODYLESS = new Set([204, 205, 304]);

export interface LoopbackRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal;
}

/** Follows no redirect: it is the answer. Rejects as `fetch` does, with the reason as cause. */
export function loopbackFetch(
  url: URL,
  { method, headers, body, signal }: LoopbackRequest,
): Promise<Response> {
  const isTls = url.protocol === 'https:';
  const options = { method, headers, agent: isTls ? agents['https:'] : agents['http:'] };
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown): void => {
      reject(signal?.aborted ? signal.reason : new TypeError('fetch failed', { cause }));
    };
    const sent = (isTls ? tlsRequest : request)(url, { ...options, ...(signal && { signal }) });
    sent.on('error', failed);
    sent.on('response', (answer) => {
      try {
        resolve(responseOf(answer));
      } catch (error) {
        failed(error);
      }
    });
    sent.end(body);
  });
}

function responseOf(answer: IncomingMessage): Response {
  const { statusCode: status = 500, headersDistinct } = answer;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  if (BODYLESS.has(status)) {
    answer.resume();
    return new Response(null, { status, headers });
  }
  return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status, headers });
}
