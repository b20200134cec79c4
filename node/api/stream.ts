import { setImmediate } from 'node:timers/promises';
import { fail } from '#ledger/errors.ts';
import type { X0tError } from '#ledger/errors.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Clock } from '#ledger/ports.ts';
import { Shares } from '#ledger/shares.ts';
import type { ApiMeters } from '#node/metrics.ts';
import { coded, envelopeOf } from './errors.ts';
import { renderFinal } from './render.ts';

/** What a stream reads from: the final log and the news of it. */
export interface FinalSource {
  /** The last event that can be read. */
  readonly finalSeq: () => number;
  readonly at: (seq: number) => FinalEvent | undefined;
  /** Called in order, after `finalSeq` has moved; the returned function ends it. */
  readonly onFinal: (listener: (events: readonly FinalEvent[]) => void) => () => void;
}

export interface StreamLimits {
  /** Streams at once, shared among principals (`ledger/shares.ts`). */
  readonly streams_max: number;
  /** A comment goes out this often, so that proxies and clients see a dead line. */
  readonly heartbeat_ms: number;
  /** A client that takes nothing for so long is disconnected. */
  readonly slow_ms: number;
}

export const STREAM_LIMITS: StreamLimits = {
  streams_max: 64,
  heartbeat_ms: 15_000,
  slow_ms: 10_000,
};

/** The latest events, kept for all streams together while there is one. */
const RECENT_EVENTS_MAX = 2048;
const RECENT_BYTES_MAX = 8 * 1024 * 1024;
/** Permits with an end are asked again this often at the latest: the wall clock may step. */
const REVIEW_MS_MAX = 30_000;
/** Characters written at once. */
const CHUNK_CHARS = 64 * 1024;
/** Reading a chunk from the store ends after this time, so that others have their turn. */
const CHUNK_MS = 8;

const HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};

/** A response as far as a stream needs it. */
export interface StreamSink {
  writeHead(status: number, headers: Record<string, string>): unknown;
  /** False when the client has to read before more is written. */
  write(text: string): boolean;
  end(text: string): unknown;
  destroy(): unknown;
  on(event: 'close' | 'drain' | 'error', listener: () => void): unknown;
  off(event: 'close' | 'drain' | 'error', listener: () => void): unknown;
}

/** Why a client gets the stream, asked again while it is open. */
export interface StreamPermit {
  readonly requestId: string;
  /** Whose share of the streams it takes. */
  readonly party: string;
  /** Wall-clock time, ms, at which it ends by itself. */
  readonly until_ms?: number;
  /** Throws the coded error why it does not hold any more. */
  readonly assertHolds: () => void;
}

/** Events of these families change who may do what. */
const TOUCHING = new Set([
  'committee', 'evidence', 'identity', 'key', 'member', 'policy', 'posture',
]);

/** Whether final events may change who is permitted; none at all tell of a snapshot. */
export function touchesPermits(events: readonly FinalEvent[]): boolean {
  if (events.length === 0) return true;
  return events.some(({ entry: { event: { kind } } }) =>
    TOUCHING.has(kind.slice(0, kind.indexOf('.'))),
  );
}

interface Client {
  readonly sink: StreamSink;
  readonly permit: StreamPermit;
  cancelEnd: () => void;
  next: number;
  isGone: boolean;
  /** Set while it has all there is. */
  wake: (() => void) | undefined;
}

/**
 * Final events as server-sent events (WHATWG HTML, section 9.2). A client is a place in the log: it
 * is sent what follows as fast as it reads, from the latest events or from the store, so it costs
 * no memory of its own beyond one chunk, and a reconnecting client misses nothing.
 */
export class FinalStream {
  readonly #source: FinalSource;
  readonly #clock: Clock;
  readonly #meters: Pick<ApiMeters, 'streamClients' | 'slowClients'>;
  readonly #limits: StreamLimits;
  readonly #clients = new Set<Client>();
  readonly #shares: Shares;
  readonly #recent = new Map<number, { readonly event: FinalEvent; text?: string }>();
  #recentBytes = 0;
  readonly #endOfNews: () => void;
  #cancelHeartbeat: (() => void) | undefined;
  #isStopped = false;

  constructor(
    source: FinalSource,
    clock: Clock,
    meters: Pick<ApiMeters, 'streamClients' | 'slowClients'>,
    limits: StreamLimits,
  ) {
    this.#source = source;
    this.#clock = clock;
    this.#meters = meters;
    this.#limits = limits;
    this.#shares = new Shares(limits.streams_max);
    this.#endOfNews = source.onFinal((events) => this.#heard(events));
  }

  /** Where to begin; a browser sends `Last-Event-ID` when it reconnects. Throws `bad_request`. */
  startOf(lastEventId: string | readonly string[] | undefined, from: number | undefined): number {
    if (lastEventId === undefined || lastEventId === '') return from ?? this.#source.finalSeq() + 1;
    const last = typeof lastEventId === 'string' && /^[0-9]{1,15}$/.test(lastEventId);
    if (!last) fail('bad_request', 'Last-Event-ID is the seq of the last event that was read.');
    return Number(lastEventId) + 1;
  }

  /** Throws `too_many_streams` or `stopping`. */
  assertRoom({ party }: Pick<StreamPermit, 'party'>): void {
    if (this.#isStopped) fail('stopping', 'The node is stopping: connect to another one.');
    if (this.#shares.hasRoomFor(party)) return;
    const message = 'Your share of the event streams is taken: read /v1/log, or another node.';
    fail('too_many_streams', message, { streams: this.#clients.size });
  }

  /**
   * Serves a client until it goes, falls behind by not reading, is not permitted any more, or
   * `stop`. Its permit holds at this moment, and `assertRoom` did.
   */
  open(sink: StreamSink, from: number, permit: StreamPermit): void {
    const cancelEnd = () => undefined;
    const client: Client = { sink, permit, cancelEnd, next: from, isGone: false, wake: undefined };
    sink.on('error', () => this.#gone(client));
    sink.on('close', () => this.#gone(client));
    this.#clients.add(client);
    this.#shares.take(permit.party);
    this.#meters.streamClients.set(this.#clients.size);
    if (this.#clients.size === 1) this.#beat();
    sink.writeHead(200, HEAD);
    // where it stands before the first event: who reconnects then misses nothing either
    sink.write(`retry: 1000\nid: ${from - 1}\n\n`);
    this.#awaitEnd(client);
    this.#serve(client).catch(() => sink.destroy());
  }

  /** Ends the streams whose permits do not hold any more, with the reason as last message. */
  review(): void {
    for (const client of this.#clients) {
      try {
        client.permit.assertHolds();
      } catch (error) {
        this.#end(client, coded(error));
      }
    }
  }

  /** Timers fire a little early, and the wall clock may step: what still holds is awaited again. */
  #awaitEnd(client: Client): void {
    const { until_ms } = client.permit;
    if (until_ms === undefined || client.isGone) return;
    const wait_ms = Math.min(REVIEW_MS_MAX, Math.max(1, until_ms - this.#clock.wall_ms() + 1));
    client.cancelEnd = this.#clock.after(wait_ms, () => {
      this.review();
      this.#awaitEnd(client);
    });
  }

  #end(client: Client, error: X0tError): void {
    const { sink, permit } = client;
    const data = JSON.stringify(envelopeOf(error, permit.requestId));
    sink.end(`event: error\ndata: ${data}\n\n`);
    this.#gone(client);
  }

  /** Ends all streams. */
  stop(): void {
    this.#isStopped = true;
    this.#endOfNews();
    for (const client of this.#clients) {
      client.sink.end(': stopping\n\n');
      this.#gone(client);
    }
  }

  #gone(client: Client): void {
    client.isGone = true;
    client.cancelEnd();
    client.wake?.();
    if (this.#clients.delete(client)) this.#shares.give(client.permit.party);
    this.#meters.streamClients.set(this.#clients.size);
    if (this.#clients.size > 0) return;
    this.#cancelHeartbeat?.();
    this.#recent.clear();
    this.#recentBytes = 0;
  }

  #beat(): void {
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = this.#clock.after(this.#limits.heartbeat_ms, () => {
      // policies may speak of the time
      this.review();
      for (const { sink, wake } of this.#clients) if (wake) sink.write(':\n\n');
      if (this.#clients.size > 0) this.#beat();
    });
  }

  #heard(events: readonly FinalEvent[]): void {
    if (this.#clients.size === 0) return;
    if (touchesPermits(events)) this.review();
    for (const event of events) {
      this.#recent.set(event.seq, { event });
      this.#recentBytes += event.entry.bytes.length;
    }
    for (const [seq, { event }] of this.#recent) {
      const fits =
        this.#recent.size <= RECENT_EVENTS_MAX && this.#recentBytes <= RECENT_BYTES_MAX;
      if (fits) break;
      this.#recent.delete(seq);
      this.#recentBytes -= event.entry.bytes.length;
    }
    for (const client of this.#clients) client.wake?.();
  }

  async #serve(client: Client): Promise<void> {
    while (!client.isGone) {
      const chunk = this.#chunk(client);
      if (client.isGone) return;
      if (chunk === '') {
        await new Promise<void>((resolve) => (client.wake = resolve));
        client.wake = undefined;
      } else if (client.sink.write(chunk)) {
        // the store is read at once: others have their turn between chunks
        await setImmediate();
      } else if (!(await this.#drained(client))) {
        this.#meters.slowClients.inc();
        client.sink.write(': slow_client\n\n');
        client.sink.destroy();
        this.#gone(client);
      }
    }
  }

  /** The next events as text; empty when the client has all there is. */
  #chunk(client: Client): string {
    let chunk = '';
    const end_ms = this.#clock.monotonic_ms() + CHUNK_MS;
    while (chunk.length < CHUNK_CHARS && client.next <= this.#source.finalSeq()) {
      const text = this.#textOf(client.next);
      if (text === undefined) break;
      chunk += text;
      client.next += 1;
      if (this.#clock.monotonic_ms() > end_ms) break;
    }
    return chunk;
  }

  #textOf(seq: number): string | undefined {
    const recent = this.#recent.get(seq);
    if (recent) {
      recent.text ??= messageOf(recent.event);
      return recent.text;
    }
    const event = this.#source.at(seq);
    return event && messageOf(event);
  }

  /** False when the client took nothing in time. */
  #drained({ sink }: Client): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(this.#limits.slow_ms, () => done(false));
      const onDrain = () => done(true);
      const done = (isDrained: boolean) => {
        cancel();
        sink.off('drain', onDrain);
        sink.off('close', onDrain);
        resolve(isDrained);
      };
      sink.on('drain', onDrain);
      sink.on('close', onDrain);
    });
  }
}

function messageOf(event: FinalEvent): string {
  return `id: ${event.seq}\ndata: ${JSON.stringify(renderFinal(event))}\n\n`;
}
