import { fail } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';

/** What becomes of a member, and by which event: docs/membership.md holds the same table. */

/** The states of a member. `invited` is that of an invite: nobody stands behind it yet. */
export type MemberState = 'joining' | 'active' | 'cordoned' | 'draining' | 'retired' | 'removed';

/** Who may bring it about: an operator, the member itself, or both. */
export type By = 'operator' | 'itself' | 'either';

export interface Transition {
  readonly event: string;
  readonly from: readonly MemberState[];
  /** None: the state stays. */
  readonly to?: MemberState;
  readonly by: By;
}

/** Every transition that there is, but for the coming: `member.join/1` makes `joining`. */
export const TRANSITIONS: readonly Transition[] = [
  { event: 'member.ready/1', from: ['joining'], to: 'active', by: 'itself' },
  { event: 'member.cordon/1', from: ['active'], to: 'cordoned', by: 'operator' },
  { event: 'member.uncordon/1', from: ['cordoned', 'draining'], to: 'active', by: 'operator' },
  { event: 'member.drain/1', from: ['active', 'cordoned'], to: 'draining', by: 'either' },
  { event: 'member.retire/1', from: ['draining'], to: 'retired', by: 'either' },
  {
    event: 'member.remove/1',
    from: ['joining', 'active', 'cordoned', 'draining', 'retired'],
    to: 'removed',
    by: 'operator',
  },
  {
    event: 'member.describe/1',
    from: ['joining', 'active', 'cordoned', 'draining'],
    by: 'either',
  },
];

const BY_EVENT = new Map(TRANSITIONS.map((one) => [one.event, one]));

/** None for a kind that is no step of a member's life. */
export function transitionOf(kind: string): Transition | undefined {
  return BY_EVENT.get(kind);
}

/** Throws `member_transition` for a step that the table does not have from this state. */
export function assertTransition(kind: string, actor: Id, state: MemberState): void {
  if (transitionOf(kind)?.from.includes(state)) return;
  const legal = TRANSITIONS.filter(({ from }) => from.includes(state)).map(({ event }) => event);
  const able = legal.length > 0 ? legal.join(', ') : 'nothing';
  const message = `${kind} is not for a member that is ${state}: legal is ${able}.`;
  fail('member_transition', message, { actor, from: state, event: kind, legal });
}
