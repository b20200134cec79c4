import type { NodeStatus } from '#node/api/index.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import type { Member } from '#projections/index.ts';

/** What a node says of its own membership, in its status and its readiness. */

export type Standing = NodeStatus['membership'];

export function membershipOf(member: Member | undefined): Standing {
  return member ? (member.state ?? 'active') : 'none';
}

/** Why others do not let in a node whose own ledger may be old: it was told no more. */
const BY_LEDGER: ReadonlySet<unknown> = new Set([
  'member_removed',
  'not_on_ledger',
  'pair_differs',
]);

/** The reason that peers give as they refuse this node, where it is linked to none. */
export function refusalBy({ peers, missing }: ReturnType<ManagedNetwork['status']>): string {
  if (peers.length > 0) return '';
  const target = missing.find(({ lastReason }) => BY_LEDGER.has(lastReason));
  return target?.lastReason ?? '';
}

/**
 * Why a node does not serve what is final: it is none of the members, not yet in step with them, or
 * refused by them.
 */
export function standingReasons(state: Standing, refusal: string): string[] {
  if (state === 'none') return ['the node is no member: its join is not final, or it has none'];
  if (state === 'joining') return ['the node is joining: it has not said that it is ready'];
  if (state === 'retired' || state === 'removed') return [`the node was ${state}`];
  return refusal === '' ? [] : [`other nodes refuse this one: ${refusal}`];
}

/** The same in sentences for the status. */
export function standingLimitations(state: Standing, refusal: string): string[] {
  if (state === 'none') {
    return ['This node is no member: others refuse it until its join is final (x0t join).'];
  }
  if (state === 'retired' || state === 'removed') {
    return [`This node was ${state}: others refuse it, and its events do not count.`];
  }
  return refusal === '' ? [] : [`Other nodes refuse this one: ${refusal}.`];
}
