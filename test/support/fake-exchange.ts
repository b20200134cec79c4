/** Request/response over a fake link: one request, frames in order, a refusal or an end. */
import { codeOf, fail, X0tError } from '#ledger/errors.ts';
import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX } from '#ledger/limits.ts';
import type { Clock, PeerName, RequestOptions } from '#ledger/ports.ts';
import type { FakeLink } from './fake-link.ts';

export type FakeHandler = (message: Uint8Array, from: PeerName) => AsyncIterable<Uint8Array>;

type Arrival =
  | { readonly kind: 'data'; readonly chunk: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'refusal'; readonly reason: string }
  | { readonly kind: 'failure'; readonly error: X0tError };

/** Frames on the way or unread at which the server waits, as a full window makes it. */
const WINDOW_FRAMES = 4;

export interface FakeRequest {
  readonly clock: Clock;
  /** Undefined when the peers are not linked. */
  readonly link: FakeLink | undefined;
  readonly from: PeerName;
  readonly to: PeerName;
  readonly message: Uint8Array;
  readonly options: RequestOptions;
  /** The handler at the peer, looked up when the request arrives. */
  readonly handler: () => FakeHandler | undefined;
  readonly penalise: (code: string) => void;
}

/** Realises `Network.request`. */
export async function* fakeRequest(request: FakeRequest): AsyncGenerator<Uint8Array> {
  const { clock, link, from, to, options } = request;
  if (request.message.byteLength > REQUEST_BYTES_MAX) {
    fail('message_too_large', 'A request holds at most 256 KiB; split it.');
  }
  if (link?.up !== true) fail('peer_gone', 'The peer is not connected; ask another.', { peer: to });
  const arrivals: Arrival[] = [];
  const state = { inFlight: 0, done: false, wakeClient: () => {}, wakeServer: () => {} };
  const arrive = (arrival: Arrival): void => {
    arrivals.push(arrival);
    state.wakeClient();
  };
  const stop = (error: X0tError): void => arrive({ kind: 'failure', error });
  const exchange = {
    linkDown: () =>
      stop(new X0tError('peer_gone', 'The link went down; ask another peer.', { peer: to })),
  };
  link.exchanges.add(exchange);
  const cancel = clock.after(options.timeout_ms, () => {
    stop(new X0tError('request_timeout', 'The peer did not answer in time.', { peer: to }));
  });
  const sent = request.message.slice();
  const ask = (): void =>
    void serve(request.handler(), sent, from, state, link.lane(to), arrive);
  link.lane(from)(ask, sent);
  let bytes = 0;
  try {
    for (;;) {
      const arrival = arrivals.shift();
      if (arrival === undefined) {
        await new Promise<void>((resolve) => {
          state.wakeClient = resolve;
        });
        continue;
      }
      if (arrival.kind === 'end') return;
      if (arrival.kind === 'failure') throw arrival.error;
      if (arrival.kind === 'refusal') {
        const data = { peer: to, reason: arrival.reason };
        fail('request_refused', 'The peer refused the request; its reason is in the data.', data);
      }
      state.inFlight -= 1;
      state.wakeServer();
      bytes += arrival.chunk.byteLength;
      if (bytes > options.responseBytes_max) {
        fail('response_too_large', 'The answer is larger than was asked for.', { peer: to });
      }
      yield arrival.chunk;
    }
  } catch (error) {
    const code = codeOf(error);
    if (code === 'response_too_large' || code === 'request_timeout') request.penalise(code);
    throw error;
  } finally {
    cancel();
    link.exchanges.delete(exchange);
    state.done = true;
    state.wakeServer();
  }
}

/** The server's side. Never rejects. */
async function serve(
  handler: FakeHandler | undefined,
  message: Uint8Array,
  from: PeerName,
  state: { inFlight: number; readonly done: boolean; wakeServer: () => void },
  lane: (take: () => void, bytes?: Uint8Array) => void,
  arrive: (arrival: Arrival) => void,
): Promise<void> {
  if (handler === undefined) {
    const error = new X0tError('protocol_unsupported', 'The peer does not speak this protocol.');
    lane(() => arrive({ kind: 'failure', error }));
    return;
  }
  try {
    for await (const chunk of handler(message, from)) {
      if (state.done) return;
      if (chunk.byteLength > FRAME_BYTES_MAX) {
        fail('frame_too_large_sent', 'A handler yielded more than a frame holds; split it.');
      }
      const copy = chunk.slice();
      state.inFlight += 1;
      lane(() => arrive({ kind: 'data', chunk: copy }), copy);
      while (state.inFlight >= WINDOW_FRAMES && !state.done) {
        await new Promise<void>((resolve) => {
          state.wakeServer = resolve;
        });
      }
      if (state.done) return;
    }
    lane(() => arrive({ kind: 'end' }));
  } catch (error) {
    const reason = codeOf(error);
    lane(() => arrive({ kind: 'refusal', reason }));
  }
}
