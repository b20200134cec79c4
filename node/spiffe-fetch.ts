import { Agent, request } from 'node:https';
import type { ClientRequestArgs } from 'node:http';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import { ProvedSockets } from '#node/identity/proved-sockets.ts';
import type { ServedSvid } from '#node/identity/own-svid.ts';
import type { X509Authorities } from '#node/identity/x509-svid.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import { exchange } from './exchange.ts';
import type { DirectFetch } from './exchange.ts';

type Shown = Pick<ServedSvid, 'cert' | 'key'>;

/** Whom a client takes for the node behind an https address, and what it shows of itself. */
export interface SpiffePeers {
  /** Asked anew for every request. */
  readonly authorities: X509Authorities;
  /** The IDs that the node may have; that of a trust domain stands for all nodes of it. */
  readonly servers: readonly SpiffeId[];
  /**
   * The client's own certificate, the same object for as long as it is the same; without it none is
   * shown. Throws where there is none that holds.
   */
  readonly own?: () => Shown;
  readonly clock: Pick<Clock, 'wall_ms'>;
}

/**
 * First the hybrid of X25519 and ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem), whose key share is in the
 * first message: what is sent today stays secret from quantum computers of tomorrow.
 */
const GROUPS = 'X25519MLKEM768:X25519';
/** From the first packet to the end of the handshake. */
const CONNECT_MS = 10_000;
/** Where nodes have their IDs in a network's trust domain (`nodeId`). */
const NODES = '/node/';
/** What OpenSSL and Node say of a handshake, unlike what the network says. */
const OF_TLS = /^(?:ERR_SSL_|ERR_TLS_|EPROTO$)/;

/**
 * Requests over TLS 1.3 to a server that proves with its X.509-SVID that it is one of
 * `peers.servers`: by the rules of SPIFFE, so no host name and no authority of the web counts. That
 * is asked before a request is written, and again for every part of its answer; a kept connection
 * on which it does not hold any more is given up for another. Sessions are not resumed: their
 * chains would be lost. Rejects with the codes of `validateX509Svid`, `server_id_wrong`,
 * `tls_failed`, those of `peers`, and as `fetch` does.
 */
export function spiffeFetch(peers: SpiffePeers): DirectFetch {
  const connections = new Connections();
  const proofs = new ProvedSockets(peers.authorities, peers.clock);
  const assertServer = (socket: Socket): void => {
    assertExpected(proofs.assert(socket as TLSSocket).id, peers.servers);
  };
  return async (url, { method, headers, body, signal }) => {
    connections.show(peers.own?.(), assertServer);
    const given = signal && { signal };
    const sent = request(url, { method, headers, agent: connections, ...given });
    return exchange(sent, { ...(body && { body }), ...given }, (socket) => {
      try {
        assertServer(socket);
      } catch (error) {
        throw asRefusal(error, url.origin);
      }
    });
  };
}

function assertExpected(id: SpiffeId, servers: readonly SpiffeId[]): void {
  const isOne = servers.some(({ uri, path, trustDomain }) =>
    path === '' ? trustDomain === id.trustDomain && id.path.startsWith(NODES) : uri === id.uri,
  );
  if (isOne) return;
  const expected = servers.map(({ uri, path }) => (path === '' ? `${uri}${NODES}…` : uri));
  fail('server_id_wrong', 'it has another SPIFFE ID than was expected', {
    expected: expected.join(', '),
    found: id.uri,
  });
}

/** The code of what is wrong, and where. */
function asRefusal(error: unknown, url: string): unknown {
  if (!(error instanceof X0tError)) return error;
  const isOld = error.code === 'svid_untrusted';
  const hint = isOld ? ' If it is the node, the bundle is from before its last start.' : '';
  const reason = error.message.replace(/\.$/, '');
  const message = `The server there does not prove that it is the node: ${reason}.${hint}`;
  return new X0tError(error.code, message, { ...error.data, url }, { cause: error });
}

/** Connections that are handed over when their handshake has ended. */
class Connections extends Agent {
  #own: Shown | undefined;
  /** What was shown on each. */
  readonly #shown = new WeakMap<Socket, Shown>();

  constructor() {
    // of free connections the first is taken, and destroyed ones before it are passed over
    super({ keepAlive: true, maxCachedSessions: 0, scheduling: 'fifo' });
  }

  /**
   * From now on `own` is shown. Ends free connections on which something else was, or of which
   * `assert` throws.
   */
  show(own: Shown | undefined, assert: (socket: Socket) => void): void {
    this.#own = own;
    for (const socket of Object.values(this.freeSockets).flatMap((sockets) => sockets ?? [])) {
      try {
        if (this.#shown.get(socket) !== own) socket.destroy();
        else assert(socket);
      } catch {
        socket.destroy();
      }
    }
  }

  override createConnection(
    { host, port }: ClientRequestArgs,
    done?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const socket = this.#open(host ?? 'localhost', Number(port));
    socket.setTimeout(CONNECT_MS, () => socket.destroy(timedOut()));
    socket.once('error', (error) => done?.(asTlsFailure(error), socket));
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      done?.(null, socket);
    });
  }

  #open(host: string, port: number): TLSSocket {
    const own = this.#own;
    const socket = connect({
      host,
      port,
      ...(isIP(host) === 0 && { servername: host }),
      minVersion: 'TLSv1.3',
      ecdhCurve: GROUPS,
      ALPNProtocols: ['http/1.1'],
      // an SVID names no host, and its authorities are no roots of the web: `ProvedSockets` judges
      rejectUnauthorized: false,
      ...(own && { cert: own.cert, key: own.key }),
    });
    if (own) this.#shown.set(socket, own);
    return socket;
  }
}

function timedOut(): Error {
  return Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' });
}

function asTlsFailure(error: NodeJS.ErrnoException): Error {
  const { code = '' } = error;
  if (!OF_TLS.test(code)) return error;
  const message =
    'No TLS 1.3 connection comes about there: check the port, and whether the node has an SVID.';
  return new X0tError('tls_failed', message, { reason: code }, { cause: error });
}
