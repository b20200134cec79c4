/**
 * The asking half of request/response: one stream per request, one request frame, then response
 * frames to an END.
 */
import { fail, X0tError } from '#ledger/errors.ts';
import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX } from '#ledger/limits.ts';
import type { Clock, PeerName, Protocol, RequestOptions } from '#ledger/ports.ts';
import type { Stream } from '@libp2p/interface';
import type { Counters } from './counters.ts';
import { coded, reasonOf } from './failures.ts';
import { DATA, END, FrameStream, resetStream } from './frames.ts';
import { STREAMS_MAX } from './limits.ts';
import type { Links } from './links.ts';
import { deadline } from './timers.ts';

/** The protocol's name on the wire; `chain` is the genesis id in hex. */
export function protocolName(chain: string, protocol: Protocol): string {
  return `/x0t/${chain.slice(0, 16)}/${protocol}/1`;
}

/** Faults of the answering peer: they cost points. A refusal is its right, a loss the network's. */
const FAULTS = new Set([
  'frame_invalid',
  'frame_too_large',
  'frame_truncated',
  'response_too_large',
  'request_timeout',
]);

export interface RequestParts {
  readonly chain: string;
  readonly clock: Clock;
  readonly links: Links;
  readonly counters: Counters;
  readonly penalise: (peer: PeerName, code: string) => void;
}

/** Realises `Network.request`; nothing happens before the first `next`. */
export async function* request(
  parts: RequestParts,
  peer: PeerName,
  protocol: Protocol,
  message: Uint8Array,
  options: RequestOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { counters } = parts;
  if (message.byteLength > REQUEST_BYTES_MAX) {
    fail('message_too_large', 'A request holds at most 256 KiB; split it.', {
      bytes: message.byteLength,
      bytes_max: REQUEST_BYTES_MAX,
    });
  }
  const limit = deadline(parts.clock, options.timeout_ms, () => {
    return new X0tError('request_timeout', 'The peer did not answer in time; ask another.', {
      peer,
      protocol,
      timeout_ms: options.timeout_ms,
    });
  });
  let stream: Stream | undefined;
  let outcome = 'abandoned';
  try {
    stream = await parts.links.best(peer).newStream(protocolName(parts.chain, protocol), {
      signal: limit.signal,
      maxOutboundStreams: STREAMS_MAX,
    });
    const frames = new FrameStream(stream);
    await frames.write(DATA, message, limit.signal);
    await stream.close({ signal: limit.signal });
    let bytes = 0;
    for (;;) {
      const frame = await frames.read(FRAME_BYTES_MAX, limit.signal);
      if (frame === undefined)
        fail('peer_gone', 'The peer ended the answer without its END; ask another.', { peer });
      if (frame.kind === END) break;
      if (frame.kind !== DATA) {
        fail('request_refused', 'The peer refused the request; its reason is in the data.', {
          peer,
          protocol,
          reason: reasonOf(frame.payload),
        });
      }
      bytes += frame.payload.byteLength;
      counters.add('request_in_bytes_total', protocol, frame.payload.byteLength);
      if (bytes > options.responseBytes_max) {
        fail(
          'response_too_large',
          'The answer is larger than was asked for; ask for less, or another peer.',
          {
            peer,
            protocol,
            responseBytes_max: options.responseBytes_max,
          },
        );
      }
      parts.links.heard(peer);
      yield frame.payload;
    }
    outcome = 'ok';
  } catch (error) {
    const failure = coded(error, limit.signal, peer);
    outcome = failure.code;
    if (FAULTS.has(failure.code)) parts.penalise(peer, failure.code);
    throw failure;
  } finally {
    limit.clear();
    counters.add('requests_sent_total', `${protocol} ${outcome}`);
    if (stream !== undefined)
      resetStream(stream, new X0tError('request_ended', 'The requester is done.'));
  }
}
