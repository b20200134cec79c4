import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { codeOf } from '#ledger/errors.ts';
import type { Log } from '#ledger/ports.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import { ConnectionPlaces } from '#node/connection-places.ts';
import { systemClock } from '#node/system.ts';
import type { OwnIdentity } from './own-svid.ts';

export interface BundleEndpointParts {
  readonly own: OwnIdentity;
  /** The bundle of the own trust domain, as it stands. */
  readonly document: () => string | undefined;
  readonly log: Log;
}

/** Connections at once: a client of this asks once in a while, and closes. */
const CONNECTIONS_MAX = 64;
/** New ones of one network. */
const NEW_CONNECTIONS: Rate = { perSecond: 10, burst: 50 };
const REQUEST_MS_MAX = 5000;
/** How often connections are looked for that have sent no whole request in time. */
const STALE_CHECK_MS = 1000;

/**
 * The bundle endpoint of the own trust domain with the profile `https_spiffe` (SPIFFE Federation,
 * 5.2.2): an HTTPS server that shows the node's own X.509-SVID, asks nobody who he is, and answers
 * `GET /` with the bundle and nothing else. While the node has no SVID, no handshake succeeds.
 */
export class BundleEndpointServer {
  readonly #server: Server;
  readonly #end: () => void;

  private constructor(server: Server, end: () => void) {
    this.#server = server;
    this.#end = end;
  }

  /** Rejects as `listen` of `node:net` does. */
  static async open(
    { host, port }: { readonly host: string; readonly port: number },
    { own, document, log }: BundleEndpointParts,
  ): Promise<BundleEndpointServer> {
    const context = () => {
      const { cert, key } = own.current ?? {};
      return { minVersion: 'TLSv1.2' as const, ...(cert !== undefined && { cert, key }) };
    };
    const server = createServer(
      {
        ...context(),
        requestTimeout: REQUEST_MS_MAX,
        handshakeTimeout: REQUEST_MS_MAX,
        connectionsCheckingInterval: STALE_CHECK_MS,
      },
      (request, response) => {
        // what is thrown here would end the node
        try {
          answer(request, response, document());
        } catch (error) {
          log.error({ code: codeOf(error) }, 'the bundle cannot be served');
          response.writeHead(503).end();
        }
      },
    );
    const places = { max: CONNECTIONS_MAX, rate: NEW_CONNECTIONS, clock: systemClock };
    ConnectionPlaces.guard(server, places);
    server.on('clientError', (_error, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    const end = own.subscribe(() => server.setSecureContext(context()));
    const endpoint = new BundleEndpointServer(server, end);
    log.info({ host, port: endpoint.port }, 'the bundle endpoint runs');
    return endpoint;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  async close(): Promise<void> {
    this.#end();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  document: string | undefined,
): void {
  response.setHeader('connection', 'close');
  if (url !== '/') response.writeHead(404).end();
  else if (method !== 'GET') response.writeHead(405, { allow: 'GET' }).end();
  else if (document === undefined) response.writeHead(503).end();
  else response.writeHead(200, { 'content-type': 'application/json' }).end(document);
}
