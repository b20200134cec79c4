/**
 * Turns whatever libp2p throws into an `X0tError`: besides errors it rejects with plain events,
 * and the reason of an aborted signal may hide behind a generic `AbortError`.
 */
import { X0tError } from '#ledger/errors.ts';

const REASON = /^[a-z][a-z0-9_]{0,63}$/;

/** The name of anything thrown, for logs and data; never its text, which a peer may have chosen. */
export function nameOf(error: unknown): string {
  if (error instanceof X0tError) return error.code;
  if (error instanceof Error) return error.name;
  if (error instanceof Event) return `${error.type} event`;
  return typeof error;
}

/**
 * `error` itself if coded, else the reason of the aborted `signal`, else `peer_gone` with what was
 * thrown as cause.
 */
export function coded(error: unknown, signal: AbortSignal | undefined, peer: string): X0tError {
  if (error instanceof X0tError) return error;
  const reason: unknown = signal?.aborted === true ? signal.reason : undefined;
  if (reason instanceof X0tError) return reason;
  const name = nameOf(error);
  if (name === 'UnsupportedProtocolError') {
    return new X0tError(
      'protocol_unsupported',
      'The peer does not speak this protocol; ask another, or upgrade it.',
      {
        peer,
      },
    );
  }
  return new X0tError(
    'peer_gone',
    'The connection to the peer ended; ask another peer.',
    { peer, cause: name },
    {
      cause: error,
    },
  );
}

/**
 * A reason code that a peer sent, or `unknown` when it is none: never show or count foreign text.
 */
export function reasonOf(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 64));
  return REASON.test(text) ? text : 'unknown';
}
