import type { Core } from '#ledger/core.ts';
import type { Id } from '#ledger/ports.ts';

/** The key that a member signs with now, by SHA-256 of its COSE_Key; `undefined` for no member. */
export type KeyOf = (actor: Id) => Id | undefined;

/** By the final log: a member's key is the one that its name is the hash of. */
export function memberKeys(core: Core): KeyOf {
  return (actor) => (core.replica.fold.reducer.isMember(actor) ? actor : undefined);
}
