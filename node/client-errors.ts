import { X0tError } from '#ledger/errors.ts';
import type { ErrorData } from '#ledger/errors.ts';
import type { ErrorEnvelope } from '#node/api/errors.ts';

/**
 * An error that the node answered with: its code, sentence and data, and the request in its log.
 */
export class ApiError extends X0tError {
  readonly status: number;
  readonly requestId: string;

  constructor(status: number, { code, message, detail, requestId }: ErrorEnvelope) {
    super(code, message, detail);
    this.name = 'ApiError';
    this.status = status;
    this.requestId = requestId;
  }
}

/** The error behind a refusal; `not_x0t` where the body is no envelope. */
export async function errorOf(response: Response, url: string): Promise<X0tError> {
  const text = await response.text().catch((cause: unknown) => {
    if (cause instanceof X0tError) throw cause;
    return '';
  });
  try {
    const { code, message, detail, requestId } = JSON.parse(text) as Partial<ErrorEnvelope>;
    if (typeof code === 'string' && typeof message === 'string') {
      const data: ErrorData = detail ?? {};
      return new ApiError(response.status, {
        code,
        message,
        detail: data,
        requestId: requestId ?? '',
      });
    }
  } catch {
    // falls through: no JSON, so no envelope
  }
  return foreign(url, response.status);
}

/** Something answers that is no node. */
export function foreign(url: string, status: number, cause?: unknown): X0tError {
  const message = 'Something else than a node answers there: check --url.';
  return new X0tError('not_x0t', message, { url, status }, { cause });
}

/** The error behind a request without an answer. */
export function unreachable(url: string, cause: unknown): X0tError {
  if (cause instanceof X0tError) return cause;
  if (cause instanceof Error && cause.name === 'TimeoutError') {
    return new X0tError(
      'node_timeout',
      'The node did not answer in time: look at its log.',
      { url },
      { cause },
    );
  }
  const inner =
    cause instanceof Error ? (cause.cause as { code?: unknown } | undefined) : undefined;
  const reason = typeof inner?.code === 'string' ? inner.code : 'connection failed';
  const message = 'No node answers there: start it with `npx x0t start`, or name it with --url.';
  return new X0tError('node_unreachable', message, { url, reason }, { cause });
}
