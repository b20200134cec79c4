import { constants } from 'node:crypto';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import type { Log } from '#ledger/ports.ts';
import type { ServedSvid } from '#node/identity/own-svid.ts';
import {
  CLOSE_GRACE_MS, KEEP_ALIVE_TIMEOUT_MS, REQUEST_TIMEOUT_MS, STALE_CHECK_MS, clientErrorHandler,
  shareConnections,
} from './connections.ts';

/** Where the listener takes its certificate from. */
export interface SvidSource {
  /** `undefined` while there is none that holds. */
  readonly current: ServedSvid | undefined;
  subscribe(listener: () => void): () => void;
}

export interface TlsListenerOptions {
  readonly host: string;
  readonly port: number;
  /** `undefined` where this node can have no SVID: then no handshake succeeds. */
  readonly own: SvidSource | undefined;
  readonly log: Log;
}

/**
 * First the hybrid of X25519 and ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem): what is sent today stays
 * secret from quantum computers of tomorrow. The slash makes it the node's choice: a client that
 * knows both gets the hybrid, even if it would begin with X25519 alone. Who does not know it takes
 * X25519.
 */
const GROUPS = 'X25519MLKEM768/X25519';
const HANDSHAKE_MS = 10_000;

/**
 * The API over TLS 1.3: a second server in front of the same routes, with the node's own X.509-SVID
 * and a new one as soon as there is one. Clients are asked for a certificate, which the handshake
 * itself does not judge: only that they hold its key. Whether it is an SVID that is believed is
 * decided for each request (`node/auth/svid-callers.ts`). Sessions are not resumed: their chains
 * would be lost.
 */
export class TlsListener {
  readonly #server: Server;
  readonly #own: SvidSource | undefined;
  readonly #log: Log;
  readonly #end: () => void;
  #served: ServedSvid | undefined;

  private constructor(server: Server, { own, log }: TlsListenerOptions) {
    this.#server = server;
    this.#own = own;
    this.#log = log;
    this.#end = own?.subscribe(() => this.#renew()) ?? (() => undefined);
    this.#renew();
  }

  /** Rejects as `listen` of `node:net` does. */
  static async open(app: FastifyInstance, options: TlsListenerOptions): Promise<TlsListener> {
    const server = createServer(
      {
        ...contextOf(options.own?.current),
        requestCert: true,
        rejectUnauthorized: false,
        handshakeTimeout: HANDSHAKE_MS,
        ALPNProtocols: ['http/1.1'],
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
        connectionsCheckingInterval: STALE_CHECK_MS,
      },
      (request, response) => app.routing(request, response),
    );
    shareConnections(server);
    server.on('checkExpectation', (request, response) => app.routing(request, response));
    server.on('clientError', clientErrorHandler);
    const { host, port } = options;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return new TlsListener(server, options);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** What is served now; `undefined` while no handshake can succeed. */
  get svid(): ServedSvid | undefined {
    return this.#own?.current;
  }

  async close(): Promise<void> {
    this.#end();
    const cut = setTimeout(() => this.#server.closeAllConnections(), CLOSE_GRACE_MS).unref();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
    });
    clearTimeout(cut);
  }

  #renew(): void {
    const svid = this.#own?.current;
    if (svid === this.#served) return;
    this.#served = svid;
    this.#server.setSecureContext(contextOf(svid));
    const { id, notAfter_ms } = svid ?? {};
    this.#log.info({ id: id?.uri, notAfter_ms }, 'the API has another certificate');
  }
}

function contextOf(svid: ServedSvid | undefined): SecureContextOptions {
  return {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ecdhCurve: GROUPS,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(svid && { cert: svid.cert, key: svid.key }),
  };
}
