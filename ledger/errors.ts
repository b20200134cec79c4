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
