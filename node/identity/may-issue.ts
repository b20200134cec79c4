import type { Id } from '#ledger/ports.ts';
import { REVOKE_KIND } from '#ledger/rotation.ts';

/** What is final of members: the reducer of the fold has it. */
export interface FinalStanding {
  /** SHA-256 of the key that signs for an actor; `undefined` for no member, and without a key. */
  keyOf(actor: Id): Id | undefined;
  isolationOf(actor: Id, ts_ms: number): string | undefined;
}

/** Grades whose holder is cut off: what it published is believed no more than the member itself. */
const CUT_OFF: ReadonlySet<string | undefined> = new Set(['quarantined', 'blocked']);

/**
 * Whether the authorities that an actor published count: it is a member, has a key that is not
 * revoked, and is not cut off. It holds again when all of that does.
 */
export function mayIssue(standing: FinalStanding, actor: Id, now_ms: number): boolean {
  return standing.keyOf(actor) !== undefined && !CUT_OFF.has(standing.isolationOf(actor, now_ms));
}

/** Kinds of other projections that may change what `mayIssue` says. */
const OTHERS = ['member.', 'posture.', 'committee.', 'evidence.'];

/** A revoked key takes its actor's authorities out of the rows (`projections/identity.ts`). */
export const isOfIdentity = (kind: string): boolean =>
  kind.startsWith('identity.') || kind === REVOKE_KIND;
export const isOfStanding = (kind: string): boolean => OTHERS.some((one) => kind.startsWith(one));
