/**
 * Frames on a libp2p stream: four bytes of big-endian length, one byte of kind, the payload; the
 * length counts kind and payload. Both ways are bounded: reading pauses the stream (yamux then
 * closes its window), writing waits for `drain`. libp2p's own helpers buffer up to 4 MiB without
 * pausing, and their `onDrain` resolves at once after its first use.
 */
import { fail } from '#ledger/errors.ts';
import type { X0tError } from '#ledger/errors.ts';
import type { Stream } from '@libp2p/interface';
import { ByteQueue } from './byte-queue.ts';
import { READ_BUFFER_BYTES } from './limits.ts';

export const DATA = 0;
export const REFUSAL = 1;
export const END = 2;
export type FrameKind = typeof DATA | typeof REFUSAL | typeof END;

export interface Frame {
  readonly kind: FrameKind;
  readonly payload: Uint8Array;
}

const HEADER_BYTES = 5;

/** Reads and writes frames; owns the stream's events from its construction on. */
export class FrameStream {
  readonly stream: Stream;
  // what has arrived and was not read
  readonly #buffer = new ByteQueue();
  #failure: Error | undefined;
  // the one read or write that waits
  #wake: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(stream: Stream) {
    this.stream = stream;
    stream.addEventListener('message', (event) => {
      this.#buffer.append(event.data instanceof Uint8Array ? event.data : event.data.subarray());
      if (this.#buffer.length > READ_BUFFER_BYTES && stream.readStatus === 'readable')
        stream.pause();
      this.#wake?.();
    });
    stream.addEventListener('remoteCloseWrite', () => this.#wake?.());
    stream.addEventListener('end', () => this.#wake?.());
    stream.addEventListener('close', (event) => {
      this.#failure = event.error;
      this.#wake?.();
      this.#wakeWriter?.();
    });
    stream.addEventListener('drain', () => this.#wakeWriter?.());
  }

  /** True when bytes have arrived that nobody read. */
  get hasUnread(): boolean {
    return this.#buffer.length > 0;
  }

  /**
   * The next frame with a payload of at most `bytes_max`; undefined when the peer closed its side
   * between two frames. Throws `frame_too_large`, `frame_invalid`, `frame_truncated`, what reset
   * the stream, or the signal's reason.
   */
  async read(bytes_max: number, signal: AbortSignal): Promise<Frame | undefined> {
    if (!(await this.#fill(HEADER_BYTES, signal))) {
      if (this.#buffer.length === 0) return undefined;
      fail('frame_truncated', 'The peer closed the stream inside a frame.');
    }
    const head = this.#buffer.peek(HEADER_BYTES);
    const length = new DataView(head.buffer).getUint32(0);
    const kind = head[4];
    if (length > bytes_max + 1) {
      fail('frame_too_large', 'The peer announced a frame above the limit.', {
        bytes: length - 1,
        bytes_max,
      });
    }
    if (length === 0 || (kind !== DATA && kind !== REFUSAL && kind !== END)) {
      return fail('frame_invalid', 'The peer sent a frame of no known kind.', { length });
    }
    if (!(await this.#fill(length + 4, signal)))
      fail('frame_truncated', 'The peer closed the stream inside a frame.');
    this.#buffer.skip(HEADER_BYTES);
    const payload = this.#buffer.peek(length - 1);
    this.#buffer.skip(length - 1);
    return { kind, payload };
  }

  /**
   * Writes one frame and waits until the stream takes more. Throws when it was reset or `signal`
   * fires.
   */
  async write(kind: FrameKind, payload: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const bytes = new Uint8Array(HEADER_BYTES + payload.byteLength);
    new DataView(bytes.buffer).setUint32(0, payload.byteLength + 1);
    bytes[4] = kind;
    bytes.set(payload, HEADER_BYTES);
    if (this.stream.send(bytes)) return;
    while (this.stream.writableNeedsDrain && this.stream.status === 'open') {
      await this.#wait(signal, (wake) => {
        this.#wakeWriter = wake;
      });
    }
    if (this.stream.status !== 'open' && this.#failure !== undefined) throw this.#failure;
  }

  /** True when `count` bytes are there, false when the peer closed its side first. */
  async #fill(count: number, signal: AbortSignal): Promise<boolean> {
    while (this.#buffer.length < count) {
      signal.throwIfAborted();
      if (this.stream.readStatus === 'paused') {
        this.stream.resume();
        continue;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.stream.remoteWriteStatus !== 'writable' && this.stream.readBufferLength === 0)
        return false;
      await this.#wait(signal, (wake) => {
        this.#wake = wake;
      });
    }
    return true;
  }

  #wait(signal: AbortSignal, set: (wake: (() => void) | undefined) => void): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const done = (): void => {
        set(undefined);
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        set(undefined);
        reject(signal.reason);
      };
      set(done);
      signal.addEventListener('abort', aborted, { once: true });
    });
  }
}

/** Resets the stream unless both ends closed it; `why` stays on this side. */
export function resetStream(stream: Stream, why: X0tError): void {
  if (stream.status === 'open' || stream.status === 'closing') stream.abort(why);
}
