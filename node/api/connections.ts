import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { X0tError } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import { ConnectionPlaces } from '#node/connection-places.ts';
import { systemClock } from '#node/system.ts';
import { envelopeOf } from './errors.ts';
import { requestBegins, watchConnection } from './unproved.ts';

/** What connections to the API may cost, by whichever listener they come. */

/**
 * A request that has not arrived by then is dropped; against clients that send a byte at a time.
 */
export const REQUEST_TIMEOUT_MS = 15_000;
/** Connections without a request are kept this long: longer than the usual idle time of proxies. */
export const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** Requests that are under way when the API closes have so long to end. */
export const CLOSE_GRACE_MS = 2000;
/** Sockets at once, shared among the networks that they come from; further ones are closed. */
const CONNECTIONS_MAX = 1024;
/** New ones of one network: each may begin a TLS handshake, the dearest thing for strangers. */
const NEW_CONNECTIONS: Rate = { perSecond: 100, burst: 500 };
/** How often connections are looked for that have sent no whole request in time. */
export const STALE_CHECK_MS = 5000;

/**
 * Who floods takes places from nobody who has proved who it is, and of who has not only the oldest
 * (`ConnectionPlaces`).
 */
export function shareConnections(
  server: Pick<Server, 'on' | 'maxConnections'>,
  clock: Pick<Clock, 'monotonic_ms'> = systemClock,
): void {
  const options = { max: CONNECTIONS_MAX, rate: NEW_CONNECTIONS, clock };
  ConnectionPlaces.guard(server, options, watchConnection);
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    response.once('close', requestBegins(socket));
  });
}

/** Bytes that are no HTTP, or that came too slowly: there is no request to answer. */
export function clientErrorHandler(error: { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason] = MALFORMED[error.code ?? ''] ?? [400, 'Bad Request'];
  const what = new X0tError('bad_request', 'This is no HTTP request that can be read.', {
    reason: error.code ?? '',
  });
  const body = JSON.stringify(envelopeOf(what, ''));
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

const MALFORMED: Readonly<Record<string, readonly [number, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
};
