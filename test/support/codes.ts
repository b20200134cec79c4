import { X0tError } from '#ledger/errors.ts';

/** The code that `step` fails with; `none` when it passes, `not coded: ...` for any other error. */
export function codeIn(step: () => unknown): string {
  try {
    step();
    return 'none';
  } catch (error) {
    return shown(error);
  }
}

/** As `codeIn`, for a promise. */
export async function codeOfPromise(step: Promise<unknown>): Promise<string> {
  try {
    await step;
    return 'none';
  } catch (error) {
    return shown(error);
  }
}

function shown(error: unknown): string {
  return error instanceof X0tError ? error.code : `not coded: ${String(error)}`;
}
