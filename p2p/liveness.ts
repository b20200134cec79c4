/**
 * Sees to it that what counts as connected works: pings every link, closes dead ones, and opens
 * lost gossip streams again. libp2p's own monitor aborts a healthy link when its ping starves
 * under load, and gossipsub never reopens a stream that overflowed (`network.md`).
 */
import { X0tError } from '#ledger/errors.ts';
import type { Clock, Log } from '#ledger/ports.ts';
import type { Connection } from '@libp2p/interface';
import { byteStream } from '@libp2p/utils';
import type { Counters } from './counters.ts';
import { nameOf } from './failures.ts';
import type { Gossip } from './gossip.ts';
import type { Link, LinkedPeer, Links } from './links.ts';
import { every } from '#ledger/every.ts';
import { deadline } from './timers.ts';

export interface LivenessTiming {
  readonly ping_ms: number;
  /** A ping without answer after this time counts as lost. */
  readonly pong_ms_max: number;
  /** Lost pings in a row that make a silent link dead. */
  readonly pingsLost_max: number;
  /** A peer without gossip streams for so long is closed and dialled again. */
  readonly mute_ms_max: number;
}
export const LIVENESS: LivenessTiming = {
  ping_ms: 5_000,
  pong_ms_max: 5_000,
  pingsLost_max: 3,
  mute_ms_max: 10_000,
};

const PING_PROTOCOL = '/ipfs/ping/1.0.0';
const PING_BYTES = 32;
const WATCH_MS = 500;

export interface LivenessParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly links: Links;
  readonly gossip: Gossip;
  readonly counters: Counters;
  readonly timing: LivenessTiming;
  /** Asks gossipsub to open its stream over `connection`. */
  readonly nudge: (connection: Connection) => void;
  readonly close: (connection: Connection, why: 'dead' | 'gossip') => void;
}

export class Liveness {
  readonly #parts: LivenessParts;
  #stops: (() => void)[] = [];

  constructor(parts: LivenessParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock, timing } = this.#parts;
    this.#stops = [
      every(clock, timing.ping_ms, () => this.#pingAll()),
      every(clock, WATCH_MS, () => this.#watch()),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #pingAll(): void {
    for (const peer of this.#parts.links.all()) {
      for (const link of peer.links.slice()) if (!link.pinging) void this.#ping(peer, link);
    }
  }

  /** Never rejects. */
  async #ping(peer: LinkedPeer, link: Link): Promise<void> {
    const { clock, timing, links } = this.#parts;
    const limit = deadline(
      clock,
      timing.pong_ms_max,
      () => new X0tError('ping_timeout', 'No pong came in time.'),
    );
    link.pinging = true;
    try {
      peer.rtt_ms = await ping(clock, link.connection, limit.signal);
      link.pong_ms = clock.monotonic_ms();
      link.unanswered = 0;
      links.heard(peer.peer);
    } catch (error) {
      link.unanswered += 1;
      this.#judge(peer, link, nameOf(error));
    } finally {
      link.pinging = false;
      limit.clear();
    }
  }

  /** Closes a link whose pings are lost, unless the peer was heard: then it is only slow. */
  #judge(peer: LinkedPeer, link: Link, cause: string): void {
    const { clock, log, timing, close } = this.#parts;
    if (link.unanswered < timing.pingsLost_max) return;
    const silent_ms = clock.monotonic_ms() - peer.heard_ms;
    const otherWorks = peer.links.some((other) => other !== link && other.pong_ms > link.pong_ms);
    if (silent_ms < timing.ping_ms * timing.pingsLost_max && !otherWorks) return;
    log.info({ peer: peer.peer, silent_ms, cause }, 'link is dead, closing it');
    close(link.connection, 'dead');
  }

  #watch(): void {
    const { clock, counters, gossip, links, log, timing, close, nudge } = this.#parts;
    const now = clock.monotonic_ms();
    for (const peer of links.all()) {
      // a new peer's round trip is known at once, not after the first interval
      for (const link of peer.rtt_ms === undefined ? peer.links.slice() : []) {
        if (!link.pinging) void this.#ping(peer, link);
      }
      const streams = gossip.streams(peer.peer);
      if (streams === 'both') {
        peer.mute_ms = undefined;
        continue;
      }
      peer.mute_ms ??= now;
      const mute_ms = now - peer.mute_ms;
      if (mute_ms >= timing.mute_ms_max) {
        log.info({ peer: peer.peer, streams, mute_ms }, 'gossip stream is lost, redialling');
        counters.add('gossip_reset_total', 'redial');
        for (const link of peer.links.slice()) close(link.connection, 'gossip');
      } else if (mute_ms > WATCH_MS && streams !== 'outbound') {
        const open = links.open(peer.peer);
        if (open === undefined) continue;
        counters.add('gossip_reset_total', 'nudged');
        nudge(open);
      }
    }
  }
}

/** The round trip of 32 bytes on a new stream of libp2p's ping protocol. */
async function ping(clock: Clock, connection: Connection, signal: AbortSignal): Promise<number> {
  const stream = await connection.newStream(PING_PROTOCOL, { signal, maxOutboundStreams: 4 });
  try {
    const bytes = byteStream(stream);
    const start_ms = clock.monotonic_ms();
    await bytes.write(crypto.getRandomValues(new Uint8Array(PING_BYTES)), { signal });
    await bytes.read({ bytes: PING_BYTES, signal });
    const rtt_ms = clock.monotonic_ms() - start_ms;
    await stream.close({ signal });
    return rtt_ms;
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error('ping ended'));
    throw error;
  }
}
