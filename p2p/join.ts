/**
 * How somebody who is no member yet hands over its join event, and learns the genesis. On a fresh
 * connection the dialler opens this protocol instead of the hello; then
 *
 *   DATA request -> DATA reply or REFUSAL code
 *
 * and the connection ends: nothing else is open to one who is not admitted.
 */
import { codeOf, X0tError } from '#ledger/errors.ts';
import { EVENT_BYTES_MAX, FRAME_BYTES_MAX } from '#ledger/limits.ts';
import type { Clock, Log, PeerName } from '#ledger/ports.ts';
import { Shares } from '#ledger/shares.ts';
import { Bucket, TokenBuckets } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import type { Connection, Stream } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { corkedTcp } from './corked-tcp.ts';
import type { Counters } from './counters.ts';
import { coded, reasonOf } from './failures.ts';
import { DATA, FrameStream, REFUSAL, resetStream } from './frames.ts';
import { hostOf } from './host-of.ts';
import { readPeerKey } from './keys.ts';
import { deadline, within } from './timers.ts';

export const JOIN_PROTOCOL = '/x0t/join/1';
/** A join event, and the event of its invite where that is not on the ledger yet. */
const REQUEST_BYTES_MAX = EVENT_BYTES_MAX + 32 * 1024;
/** One request is answered in this time, or the connection ends. */
const JOIN_MS_MAX = 10_000;
/** Who has nothing to say after this time is sent away. */
const FIRST_FRAME_MS = 2_000;
/** Requests that are read and answered at once, shared among the hosts that they come from. */
const AT_ONCE_MAX = 16;
/** Requests taken of one host, and of all together: anybody can ask, an invite is not needed. */
const OF_HOST: Rate = { perSecond: 5, burst: 20 };
const PER_S = 25;
const BURST = 100;

/** Answers a request, or throws the coded refusal. */
export type JoinHandler = (message: Uint8Array, peer: PeerName) => Promise<Uint8Array>;

export interface JoinParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly penalise: (peer: PeerName, code: string) => void;
  readonly handler: JoinHandler | undefined;
}

/** The side of a member. */
export class JoinDesk {
  readonly #parts: JoinParts;
  readonly #bucket: Bucket;
  readonly #hosts: TokenBuckets;
  readonly #places = new Shares(AT_ONCE_MAX);

  constructor(parts: JoinParts) {
    this.#parts = parts;
    this.#bucket = new Bucket(parts.clock, { perSecond: PER_S, burst: BURST });
    this.#hosts = new TokenBuckets(OF_HOST, parts.clock);
  }

  /**
   * Answers one request and resolves when the peer has it; resets the stream at once where there is
   * no place. A place is held until the answer is made: who lingers holds none. Never rejects.
   */
  async serve(stream: Stream, connection: Connection): Promise<void> {
    const { counters, handler, log } = this.#parts;
    const host = hostOf(connection.remoteAddr);
    if (handler !== undefined && this.#hosts.take(host) && this.#bucket.take()) {
      if (this.#places.take(host)) {
        await this.#visit(stream, connection.remotePeer.toString(), handler, () =>
          this.#places.give(host),
        );
        return;
      }
    }
    const busy = new X0tError('join_busy', 'Too many want to join at once: try again.', { host });
    resetStream(stream, busy);
    counters.add('joins_total', busy.code);
    log.debug({ host, code: busy.code }, 'a join was refused');
  }

  async #visit(
    stream: Stream,
    peer: PeerName,
    handler: JoinHandler,
    leave: () => void,
  ): Promise<void> {
    const { clock, counters, log, penalise } = this.#parts;
    const timeout = (): X0tError => {
      return new X0tError('join_timeout', 'The request was not answered in time.', { peer });
    };
    const limit = deadline(clock, JOIN_MS_MAX, timeout);
    const frames = new FrameStream(stream);
    try {
      const answer = this.#answer(frames, limit.signal, timeout, (bytes) => handler(bytes, peer));
      await frames.write(DATA, await answer.finally(leave), limit.signal);
      counters.add('joins_total', 'ok');
    } catch (error) {
      const { code } = coded(error, limit.signal, peer);
      counters.add('joins_total', code);
      log.info({ peer, code }, 'a join was refused');
      penalise(peer, 'join_refused');
      await this.#refuse(frames, codeOf(error), limit.signal);
    } finally {
      await drained(frames, limit.signal);
      limit.clear();
    }
  }

  async #answer(
    frames: FrameStream,
    signal: AbortSignal,
    timeout: () => X0tError,
    handler: (message: Uint8Array) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const request = await within(this.#parts.clock, signal, FIRST_FRAME_MS, timeout, (first) =>
      frames.read(REQUEST_BYTES_MAX, first),
    );
    if (request?.kind !== DATA) throw new X0tError('frame_unexpected', 'A request is expected.');
    return await handler(request.payload);
  }

  async #refuse(frames: FrameStream, code: string, signal: AbortSignal): Promise<void> {
    await frames.write(REFUSAL, new TextEncoder().encode(code), signal).catch(() => undefined);
  }
}

/** Waits until the other side has read and closed; gives up with the signal. */
async function drained(frames: FrameStream, signal: AbortSignal): Promise<void> {
  try {
    await frames.stream.close({ signal });
    while ((await frames.read(REQUEST_BYTES_MAX, signal)) !== undefined);
  } catch (error) {
    resetStream(frames.stream, coded(error, signal, ''));
  }
}

export interface JoinRequest {
  /** The private key of the node that joins, from `generatePeerKey`. */
  readonly key: Uint8Array;
  /** Where a member can be reached: a multiaddr that names its peer. */
  readonly addr: string;
  readonly message: Uint8Array;
  readonly clock: Clock;
}

/**
 * Hands over a request and resolves with the reply. Throws `join_refused` with the member's
 * `reason`, or `peer_gone` where nobody answers there. `isSent` in the data says that the member
 * may have got the request.
 */
export async function requestJoin({ key, addr, message, clock }: JoinRequest): Promise<Uint8Array> {
  const limit = deadline(clock, JOIN_MS_MAX, () => {
    return new X0tError('join_timeout', 'The member did not answer in time.', { addr });
  });
  const host = await createLibp2p({
    privateKey: readPeerKey(key),
    addresses: { listen: [] },
    transports: [corkedTcp({})],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { reconnectRetries: 0 },
    connectionMonitor: { enabled: false },
  });
  let isSent = false;
  try {
    const connection = await host.dial(multiaddr(addr), { signal: limit.signal });
    const stream = await connection.newStream(JOIN_PROTOCOL, { signal: limit.signal });
    const frames = new FrameStream(stream);
    isSent = true;
    await frames.write(DATA, message, limit.signal);
    const reply = await frames.read(FRAME_BYTES_MAX, limit.signal);
    if (reply?.kind === DATA) return reply.payload;
    const reason = reply?.kind === REFUSAL ? reasonOf(reply.payload) : 'closed';
    const what = 'The member refuses, as its reason says: you may need another token.';
    throw new X0tError('join_refused', what, { reason, addr });
  } catch (error) {
    const { code, message: text, data } = coded(error, limit.signal, addr);
    throw new X0tError(code, text, { ...data, isSent }, { cause: error });
  } finally {
    limit.clear();
    await host.stop();
  }
}
