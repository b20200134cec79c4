import { X0tError } from '#ledger/errors.ts';

/** What a coded refusal makes `undefined`; anything else is thrown on. */
export function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof X0tError) return undefined;
    throw error;
  }
}
