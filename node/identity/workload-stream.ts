import { status } from '@grpc/grpc-js';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { X0tError } from '#ledger/errors.ts';
import type { Clock, Entropy } from '#ledger/ports.ts';

/** The pause after the first failure, doubled with each that follows, up to the last. */
export const BACKOFF_MS = { first: 250, last: 30_000 } as const;

export interface StreamParts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Begins the call. */
  readonly open: () => ClientReadableStream<object>;
  /** Takes one message; a throw means that it is discarded. */
  readonly onMessage: (message: object) => void;
  /** A message was discarded or a call has ended; `final`: it is not tried again. */
  readonly onError: (error: X0tError, final: boolean) => void;
}

/**
 * Keeps one stream of the Workload API open (Workload API, 4.2; Workload Endpoint, 6): a stream
 * that ends is opened again after a pause that grows while it fails, and is drawn at random from
 * its upper half, so that many clients do not come back at once. `InvalidArgument` and
 * `Unimplemented` end it.
 */
export class WorkloadStream {
  readonly #parts: StreamParts;
  #call: ClientReadableStream<object> | undefined;
  #failures = 0;
  #isClosed = false;
  #cancelPause: () => void = () => undefined;

  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelPause();
    this.#call?.cancel();
  }

  #open(): void {
    const call = this.#parts.open();
    this.#call = call;
    let isOver = false;
    const over = (error: X0tError): void => {
      if (isOver || this.#isClosed) return;
      isOver = true;
      this.#ended(error);
    };
    call.on('data', (message: object) => {
      if (this.#isClosed) return;
      try {
        this.#parts.onMessage(message);
        this.#failures = 0;
      } catch (error) {
        if (!(error instanceof X0tError)) throw error;
        this.#parts.onError(error, false);
      }
    });
    call.on('error', (error: ServiceError) => over(workloadError(error)));
    call.on('end', () => over(new X0tError('workload_unavailable', 'the stream has ended')));
  }

  #ended(error: X0tError): void {
    const isFinal = error.code === 'workload_refused';
    this.#parts.onError(error, isFinal);
    if (isFinal || this.#isClosed) return;
    const { first, last } = BACKOFF_MS;
    const full_ms = Math.min(last, first * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    const [byte = 0] = this.#parts.entropy.bytes(1);
    const pause_ms = full_ms / 2 + (full_ms / 2) * (byte / 255);
    this.#cancelPause = this.#parts.clock.after(pause_ms, () => this.#open());
  }
}

/** The three that a client tells apart (Workload Endpoint, appendix A). */
export function workloadError({ code, details }: ServiceError): X0tError {
  // bounded: a server may say anything
  const data = { grpc: status[code] ?? 'UNKNOWN', sentence: details.slice(0, 200) };
  if (code === status.INVALID_ARGUMENT || code === status.UNIMPLEMENTED) {
    return new X0tError('workload_refused', 'the Workload API does not take the call', data);
  }
  if (code === status.PERMISSION_DENIED) {
    return new X0tError('workload_denied', 'the Workload API gives no identity', data);
  }
  return new X0tError('workload_unavailable', 'the Workload API does not answer', data);
}
