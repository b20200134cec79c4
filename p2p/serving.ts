/** The answering half of request/response, bounded per peer in rate, in concurrency and in time. */
import { codeOf, fail, X0tError } from '#ledger/errors.ts';
import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX } from '#ledger/limits.ts';
import type { Clock, Log, PeerName, Protocol } from '#ledger/ports.ts';
import { Bucket } from '#ledger/token-buckets.ts';
import type { Connection, Stream } from '@libp2p/interface';
import type { Counters } from './counters.ts';
import { coded } from './failures.ts';
import { DATA, END, FrameStream, REFUSAL, resetStream } from './frames.ts';
import type { FrameKind } from './frames.ts';
import {
  REQUEST_ARRIVAL_MS,
  REQUESTS_BURST,
  REQUESTS_PER_S,
  SERVE_MS_MAX,
  SERVED_PER_PEER_MAX,
} from './limits.ts';
import { LINGER_MS, WRITE_STALL_MS } from './limits.ts';
import type { Links } from './links.ts';
import { deadline, within } from './timers.ts';

export type RequestHandler = (message: Uint8Array, from: PeerName) => AsyncIterable<Uint8Array>;

export interface ServingParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly links: Links;
  readonly counters: Counters;
  readonly penalise: (peer: PeerName, code: string) => void;
  /** Overrides for tests. */
  readonly arrival_ms?: number;
  readonly stall_ms?: number;
  readonly requestsPerS?: number;
  readonly requestsBurst?: number;
}

/**
 * Faults of the requester: they cost points. Anything else that ends an exchange is this node's or
 * the network's.
 */
const FAULTS = new Set([
  'frame_invalid',
  'frame_too_large',
  'frame_truncated',
  'frame_unexpected',
  'request_stalled',
  'rate_limited',
  'not_admitted',
]);

interface Client {
  /** Of this share of what everybody may. */
  share: number;
  bucket: Bucket;
  active: number;
}

export class Serving {
  readonly #parts: ServingParts;
  /** One row per admitted peer; `forget` drops it. */
  readonly #clients = new Map<PeerName, Client>();

  constructor(parts: ServingParts) {
    this.#parts = parts;
  }

  /** Forgets a peer that went down, so that the table is bounded by the admitted ones. */
  forget(peer: PeerName): void {
    this.#clients.delete(peer);
  }

  /** Serves one inbound stream to its end. Never rejects. */
  async serve(
    protocol: Protocol,
    handler: RequestHandler,
    stream: Stream,
    connection: Connection,
  ): Promise<void> {
    const { clock, counters, links, log, penalise } = this.#parts;
    const peer = connection.remotePeer.toString();
    const frames = new FrameStream(stream);
    const limit = deadline(clock, SERVE_MS_MAX, () => {
      return new X0tError('serve_timeout', 'The exchange took too long and was ended.', { peer });
    });
    stream.addEventListener('close', (event) => {
      if (event.error !== undefined)
        limit.abort(new X0tError('peer_gone', 'The requester reset the stream.', { peer }));
    });
    let client: Client | undefined;
    let outcome = 'ok';
    try {
      if (!(await links.admitted(connection)))
        fail('not_admitted', 'The hello must be accepted first.', { peer });
      links.heard(peer);
      client = this.#enter(peer);
      const message = await this.#readRequest(frames, limit.signal);
      for await (const chunk of cancellable(handler(message, peer), limit.signal)) {
        if (chunk.byteLength > FRAME_BYTES_MAX) {
          fail('frame_too_large_sent', 'A handler yielded more than a frame holds; split it.', {
            protocol,
          });
        }
        await this.#write(frames, DATA, chunk, limit.signal);
        counters.add('request_out_bytes_total', protocol, chunk.byteLength);
      }
      if (frames.hasUnread) fail('frame_unexpected', 'A request is one frame.', { peer });
      await this.#write(frames, END, new Uint8Array(0), limit.signal);
      await stream.close({ signal: limit.signal });
    } catch (error) {
      const failure =
        error instanceof X0tError || limit.signal.aborted
          ? coded(error, limit.signal, peer)
          : undefined;
      outcome = failure?.code ?? (stream.status === 'open' ? codeOf(error) : 'peer_gone');
      if (outcome === 'internal') log.error({ protocol, peer, error }, 'request handler failed');
      if (FAULTS.has(outcome)) penalise(peer, outcome);
      await refuse(clock, frames, outcome);
    } finally {
      limit.clear();
      // the refusal or the last frame gets time to arrive; a requester that keeps its half open
      // longer is reset
      if (stream.status === 'open' || stream.status === 'closing') {
        const why = new X0tError('peer_gone', 'The requester left its half of the stream open.');
        stream.addEventListener(
          'close',
          clock.after(LINGER_MS, () => resetStream(stream, why)),
        );
      }
      if (client !== undefined) client.active -= 1;
      counters.add('requests_served_total', `${protocol} ${outcome}`);
    }
  }

  #enter(peer: PeerName): Client {
    const share = this.#parts.links.get(peer)?.access.share ?? 0;
    let client = this.#clients.get(peer);
    if (client === undefined) {
      client = { share, bucket: this.#bucket(share), active: 0 };
      this.#clients.set(peer, client);
    } else if (client.share !== share) {
      client.share = share;
      client.bucket = this.#bucket(share);
    }
    if (!client.bucket.take())
      fail('rate_limited', 'Too many requests; ask more slowly.', { peer });
    if (client.active >= Math.ceil(SERVED_PER_PEER_MAX * share))
      fail('peer_busy', 'Too many requests at the same time; wait.', { peer });
    client.active += 1;
    return client;
  }

  #bucket(share: number): Bucket {
    const { clock, requestsPerS = REQUESTS_PER_S, requestsBurst = REQUESTS_BURST } = this.#parts;
    return Bucket.scaled(clock, { perSecond: requestsPerS, burst: requestsBurst }, share);
  }

  async #readRequest(frames: FrameStream, signal: AbortSignal): Promise<Uint8Array> {
    const { clock, arrival_ms = REQUEST_ARRIVAL_MS } = this.#parts;
    const stalled = (): X0tError => {
      return new X0tError('request_stalled', 'The request did not arrive in time.', { arrival_ms });
    };
    const frame = await within(clock, signal, arrival_ms, stalled, (both) =>
      frames.read(REQUEST_BYTES_MAX, both),
    );
    if (frame?.kind === DATA) return frame.payload;
    return fail('frame_unexpected', 'An exchange starts with one request frame.');
  }

  /** Writes a frame unless the requester takes nothing for too long. */
  async #write(
    frames: FrameStream,
    kind: FrameKind,
    payload: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, stall_ms = WRITE_STALL_MS } = this.#parts;
    const stalled = (): X0tError =>
      new X0tError('read_stalled', 'The requester does not take the answer.');
    await within(clock, signal, stall_ms, stalled, (both) =>
      frames.write(kind, payload, both),
    );
  }
}

/**
 * Iterates `source` until `signal` fires, even while it is busy; it is then told to return, and
 * not waited for.
 */
async function* cancellable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  aborted.promise.catch(() => undefined);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  let open = true;
  try {
    for (;;) {
      const result = await Promise.race([iterator.next(), aborted.promise]);
      if (result.done === true) {
        open = false;
        return;
      }
      yield result.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    if (open) iterator.return?.(undefined)?.catch(() => undefined);
  }
}

/** Tells the requester the code, if the stream still takes it. Never rejects. */
async function refuse(clock: Clock, frames: FrameStream, code: string): Promise<void> {
  const limit = deadline(clock, LINGER_MS, () => new X0tError(code, 'The exchange was refused.'));
  try {
    await frames.write(REFUSAL, new TextEncoder().encode(code), limit.signal);
    await frames.stream.close({ signal: limit.signal });
  } catch {
    // the stream ended first; nothing is left to tell
  } finally {
    limit.clear();
  }
}
