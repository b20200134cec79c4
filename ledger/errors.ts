/**
 * Errors are a code, typed data and a sentence that says what to do. Every code stands in
 * `docs/errors.md`, and `test/errors.test.ts` proves it by searching the sources for the calls of
 * `fail` and `new X0tError`.
 */

/** Plain data only: it is logged and sent to API callers. No secrets. */
export type ErrorData = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export class X0tError extends Error {
  readonly code: string;
  readonly data: ErrorData;

  constructor(code: string, message: string, data: ErrorData = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'X0tError';
    this.code = code;
    this.data = data;
  }
}

/**
 * What the state of this node refuses now. Whoever sent it may hold another state, so this is never
 * held against a sender, whatever its code.
 */
export class StateRefusal extends X0tError {
  override readonly name = 'StateRefusal';

  /** The same refusal, told to be one of state; anything else as it is. */
  static of(error: unknown): unknown {
    if (!(error instanceof X0tError)) return error;
    return new StateRefusal(error.code, error.message, error.data, { cause: error });
  }
}

/** Throws an `X0tError`; an expression, so that it fits behind `??`. */
export function fail(code: string, message: string, data: ErrorData = {}): never {
  throw new X0tError(code, message, data);
}

/** This node could not do its part: whoever sent what it was working on is not at fault. */
export const OWN_FAILURES: ReadonlySet<string> = new Set([
  'engine_closed',
  'engine_failed',
  'installing',
  'stopping',
  'store_failed',
]);

/** The code of anything thrown: that of an `X0tError`, else `internal`. */
export function codeOf(error: unknown): string {
  return error instanceof X0tError ? error.code : 'internal';
}
