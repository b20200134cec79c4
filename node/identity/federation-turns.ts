import type { Id } from '#ledger/ports.ts';
import { rendezvous } from '#ledger/submissions.ts';
import type { Federation, Vouching } from '#projections/identity-federation.ts';
import type { Refetched } from './federation-parts.ts';

/**
 * Whose turn it is to poll a foreign bundle, and when: every validator finds the same without a
 * word, as far as their clocks agree.
 */

/**
 * Between two polls: the bundle's refresh hint, within these bounds; five minutes where it has none
 * (SPIFFE Federation, 4.1). Never less, whatever a foreign hint says: each poll may cost the ledger
 * statements that stay.
 */
const INTERVAL_S = { min: 300, default: 300, max: 24 * 3600 } as const;

/** Seconds. */
export function intervalOf({ hint_s = INTERVAL_S.default }: Pick<Federation, 'hint_s'>): number {
  return Math.min(INTERVAL_S.max, Math.max(INTERVAL_S.min, hint_s));
}

/**
 * The number of the window that a time lies in. Those of relationships begin at other times, also
 * where other networks have theirs with the same trust domain.
 */
export function windowOf(federation: Federation, wall_ms: number): number {
  const interval_ms = intervalOf(federation) * 1000;
  const phase_ms = Number.parseInt(federation.basis.slice(0, 8), 16) % interval_ms;
  return Math.floor((wall_ms + phase_ms) / interval_ms);
}

/** The validators in the order of a window: who was second in the one before is first. */
export function orderIn(window: number, { basis }: Federation, actors: readonly Id[]): Id[] {
  const order = rendezvous(basis, actors);
  const first = window % order.length;
  return [...order.slice(first), ...order.slice(0, first)];
}

/** How many others that have a seat vouch for what. */
export function countsOf(
  { pending }: Federation,
  self: Id,
  actors: readonly Id[],
): Map<Id, number> {
  const counts = new Map<Id, number>();
  for (const { actor, digest } of pending) {
    const isCounted = actor !== self && actors.includes(actor);
    if (isCounted) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  }
  return counts;
}

/** Those with a seat who vouch for what was fetched, whatever its sequence. */
export function vouchingOf(
  { pending }: Federation,
  fetched: Pick<Refetched, 'digest' | 'sequence'>,
  actors: readonly Id[],
): Id[] {
  const isSame = ({ digest, sequence }: Vouching): boolean =>
    digest === fetched.digest && (sequence === undefined) === (fetched.sequence === undefined);
  return pending.filter((one) => isSame(one) && actors.includes(one.actor))
    .map(({ actor }) => actor);
}
