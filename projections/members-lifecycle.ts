import { fail } from '#ledger/errors.ts';
import type { ErrorData } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { keyOf } from './member-keys.ts';
import type { Described } from './members-lifecycle-kinds.ts';
import { listOf, putRow, rowOf } from './members-rows.ts';
import type { Reading, Row } from './members-rows.ts';
import { isLastValidator, takeSeat, unseat } from './members-seats.ts';
import { assertTransition, transitionOf } from './transitions.ts';
import type { MemberState, Transition } from './transitions.ts';

/** The steps of a member's life, applied and foreseen; which there are: `transitions.ts`. */

/** Members in these states are none any more: their events are void, their connections closed. */
const GONE: ReadonlySet<MemberState> = new Set(['retired', 'removed']);

export function stateOf(row: Row): MemberState {
  return row.state ?? 'active';
}

export function isGone(row: Row): boolean {
  return GONE.has(stateOf(row));
}

export function isLifecycleKind(kind: string): boolean {
  return transitionOf(kind) !== undefined;
}

/** The member that an event is about: the one it names, else its author. */
export function subjectOf(author: Id, body: Body): Id {
  const { actor } = body as { readonly actor?: Uint8Array };
  return actor ? actor.toHex() : author;
}

/** What an event of the lifecycle would come to now. `applied`: nothing stands against it. */
export function judge(kind: string, author: Id, body: Body, rows: Reading): VerdictName {
  const { from, to, by } = transitionOf(kind) as Transition;
  const subject = subjectOf(author, body);
  const row = rowOf(rows, subject);
  const isOperator = rowOf(rows, author)?.isOperator === true;
  const isItself = subject === author;
  const isPermitted =
    kind === 'member.describe/1'
      ? isOperator || (isItself && saysOnlyAddrs(body))
      : (by !== 'operator' && isItself) || (by !== 'itself' && isOperator);
  if (!isPermitted) return 'member_not_permitted';
  if (!row) return 'member_unknown';
  if (!from.includes(stateOf(row))) return 'member_transition';
  const losesSeat = to === 'draining' || to === 'removed';
  if (losesSeat && isLastValidator(rows, subject)) return 'member_last_validator';
  const losesOffice =
    row.isOperator === true &&
    (to === 'removed' || to === 'retired' || dropsOperator(kind, body));
  if (losesOffice && isLastOperator(rows, subject)) return 'member_last_operator';
  if (kind !== 'member.describe/1') return 'applied';
  return fitsNode(row, (body as Described).roles ?? []) ? 'applied' : 'member_roles';
}

/** Who follows, audits or seals has a node; who only signs or operates needs none. */
export function fitsNode({ peer }: Pick<Row, 'peer'>, roles: readonly string[]): boolean {
  return peer !== undefined || !roles.some((role) => OF_NODES.has(role));
}
const OF_NODES = new Set(['auditor', 'observer', 'validator']);

function saysOnlyAddrs({ roles, labels, capabilities }: Described): boolean {
  return roles === undefined && labels === undefined && capabilities === undefined;
}

function dropsOperator(kind: string, { roles }: Described): boolean {
  return kind === 'member.describe/1' && roles !== undefined && !roles.includes('operator');
}

function isLastOperator(rows: Reading, actor: Id): boolean {
  return !listOf(rows).some((other) => {
    const row = other === actor ? undefined : rowOf(rows, other);
    return row?.isOperator === true && !isGone(row) && keyOf(other, rows) !== undefined;
  });
}

/** Applies what `judge` lets through. */
export function step(kind: string, author: Id, body: Body, rows: Rows): VerdictName {
  const verdict = judge(kind, author, body, rows);
  if (verdict !== 'applied') return verdict;
  const subject = subjectOf(author, body);
  const row = rowOf(rows, subject) as Row;
  const { to } = transitionOf(kind) as Transition;
  if (kind === 'member.describe/1') putRow(rows, subject, described(row, body));
  if (to === undefined) return 'applied';
  const { state: _before, ...kept } = row;
  const { reason } = body as { readonly reason?: string };
  putRow(rows, subject, {
    ...kept,
    ...(to !== 'active' && { state: to }),
    ...(to === 'removed' && reason !== undefined && { reason }),
  });
  if (to === 'draining' || to === 'removed') unseat(rows, subject);
  if (kind === 'member.ready/1' && row.roles?.includes('validator')) takeSeat(rows, subject);
  return 'applied';
}

function described(row: Row, { roles, labels, capabilities, addrs }: Described): Row {
  const next: { -readonly [K in keyof Row]: Row[K] } = { ...row };
  if (roles) {
    // a seat is given by a change of the committee
    const seat = row.roles?.includes('validator') ? (['validator'] as const) : [];
    const others = [...roles.filter((role) => role !== 'operator'), ...seat].toSorted();
    delete next.isOperator;
    delete next.roles;
    if (roles.includes('operator')) next.isOperator = true;
    if (others.length > 0) next.roles = others;
  }
  if (labels) {
    delete next.labels;
    if (labels.length > 0) next.labels = labels.toSorted();
  }
  if (capabilities) {
    delete next.capabilities;
    if (capabilities.length > 0) next.capabilities = capabilities.toSorted();
  }
  if (addrs) {
    delete next.addrs;
    if (addrs.length > 0) next.addrs = addrs;
  }
  return next;
}

/** What becomes of each verdict where it is an error for the event's author. */
const REFUSALS: Partial<Record<VerdictName, (data: ErrorData) => never>> = {
  member_unknown: (data) =>
    fail('member_unknown', 'There is no such member: see `npx x0t member list`.', data),
  member_not_permitted: (data) =>
    fail('member_not_permitted', 'Only an operator may do this, or the member itself.', data),
  member_last_validator: (data) =>
    fail(
      'member_last_validator',
      'Nothing would be final any more: add another validator first.',
      data,
    ),
  member_last_operator: (data) =>
    fail(
      'member_last_operator',
      'Nobody could change the members: invite another operator first.',
      data,
    ),
  member_roles: (data) =>
    fail('member_roles', 'Validators, observers and auditors have a node.', data),
};

/** Throws the verdict that an event would get, as an error for its author. */
export function assertStep(kind: string, author: Id, body: Body, rows: Reading): void {
  const verdict = judge(kind, author, body, rows);
  if (verdict === 'applied') return;
  const actor = subjectOf(author, body);
  if (verdict !== 'member_transition') {
    REFUSALS[verdict]?.({ actor, event: kind });
    return;
  }
  assertTransition(kind, actor, stateOf(rowOf(rows, actor) as Row));
}
