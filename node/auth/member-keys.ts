import type { Core } from '#ledger/core.ts';
import type { Id } from '#ledger/ports.ts';

/** The key that a member signs with now, by SHA-256 of its COSE_Key; `undefined` for no member. */
export type KeyOf = (actor: Id) => Id | undefined;

/** By the final log. */
export function memberKeys(core: Core): KeyOf {
  return (actor) => core.replica.fold.reducer.keyOf(actor);
}
