import { X0tError } from '#ledger/errors.ts';

/** `code` or `code: rule` of what a step is refused with; `taken` when it is not. */
export function refusalIn(step: () => unknown): string {
  try {
    step();
    return 'taken';
  } catch (error) {
    return refusal(error);
  }
}

/** As `refusalIn`, for a promise. */
export async function refusalOf(step: Promise<unknown>): Promise<string> {
  try {
    await step;
    return 'taken';
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): string {
  if (!(error instanceof X0tError)) return `not coded: ${String(error)}`;
  const rule = error.data['rule'];
  return rule === undefined ? error.code : `${error.code}: ${String(rule)}`;
}
