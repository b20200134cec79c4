import type { Id } from '#ledger/ports.ts';
import type { Standing } from '#ledger/projection.ts';
import { isGone, stateOf } from './members-lifecycle.ts';
import { isWithdrawn } from './members-invites.ts';
import { keyOf, keysOf } from './member-keys.ts';
import type { MemberKey } from './member-keys.ts';
import type { MemberState } from './transitions.ts';
import { inviteOf, invitesIn, listOf, ofActor, rowOf } from './members-rows.ts';
import type { InviteRow, Reading } from './members-rows.ts';
import { actorsOf, epochOf } from './members-seats.ts';

/** Members and invites as the projection shows them. */

export type Role = 'validator' | 'observer' | 'participant' | 'auditor' | 'operator';

export interface Member {
  readonly actor: Id;
  readonly roles: readonly Role[];
  /** Left out: `active`. */
  readonly state?: MemberState;
  /** Index in the committee, for a validator. */
  readonly author?: number;
  /** The libp2p peer id of its node, which vouches for the actor as the actor does for it. */
  readonly peer?: string;
  /** Where it said that it can be reached: multiaddrs. */
  readonly addrs?: readonly string[];
  /** It signed two blocks for one slot: it never sits in a committee again. */
  readonly barred?: true;
  /** Its keys, oldest first, where they were changed; else it has its first alone. */
  readonly keys?: readonly MemberKey[];
  /** It was invited as a validator, and gets a seat once it is ready. */
  readonly seeksSeat?: true;
  /** `name=value` texts. */
  readonly labels?: readonly string[];
  readonly capabilities?: readonly string[];
  /** Id of the invite by which it came. */
  readonly invite?: Id;
  /** Why it was removed. */
  readonly reason?: string;
}

export type InviteState = 'open' | 'expired' | 'used' | 'withdrawn';

export interface InviteView extends Pick<
  InviteRow,
  'roles' | 'labels' | 'capabilities' | 'addrs' | 'notAfter_ms'
> {
  readonly id: Id;
  readonly issuer: Id;
  readonly state: InviteState;
  /** Who used it. */
  readonly usedBy?: Id;
}

/** One member, or `undefined`. */
export function readMember(rows: Reading, actor: Id): Member | undefined {
  return shownAs(rows, actor, actorsOf(rows, epochOf(rows)));
}

/** All members in the order of their coming: the committee and operators of the genesis first. */
export function listMembers(rows: Reading): readonly Member[] {
  const seated = actorsOf(rows, epochOf(rows));
  return listOf(rows).flatMap((actor) => shownAs(rows, actor, seated) ?? []);
}

/** The invites that are remembered, in the order of their coming, as they stand at `now_ms`. */
export function listInvites(rows: Reading, now_ms: number): readonly InviteView[] {
  return invitesIn(rows).flatMap((id) => readInvite(rows, id, now_ms) ?? []);
}

export function readInvite(rows: Reading, id: Id, now_ms: number): InviteView | undefined {
  const row = inviteOf(rows, id);
  if (!row) return undefined;
  const { roles, labels, capabilities, addrs, notAfter_ms, usedBy, issuer } = row;
  const open = notAfter_ms < now_ms ? 'expired' : 'open';
  const state = usedBy ? 'used' : isWithdrawn(row, rows) ? 'withdrawn' : open;
  const view = { id, issuer: issuer.toHex(), state, roles, labels, capabilities, addrs } as const;
  return { ...view, notAfter_ms, ...(usedBy && { usedBy: usedBy.toHex() }) };
}

function shownAs(rows: Reading, actor: Id, seated: readonly Id[]): Member | undefined {
  const row = rowOf(rows, actor);
  if (!row) return undefined;
  const { isOperator, peer, addrs, barred, labels, capabilities, invite, reason } = row;
  const author = seated.indexOf(actor);
  const keys = keysOf(actor, rows);
  const state = stateOf(row);
  const given = (row.roles ?? []).filter((role) => role !== 'validator');
  const roles: Role[] = [
    ...(author >= 0 ? (['validator'] as const) : []),
    ...(isOperator ? (['operator'] as const) : []),
    ...given,
  ];
  return {
    actor,
    roles,
    ...(state !== 'active' && { state }),
    ...(author >= 0 && { author }),
    ...(peer !== undefined && { peer }),
    ...(addrs && { addrs }),
    ...(barred && { barred }),
    ...((keys.length > 1 || keys[0]?.state !== 'present') && { keys }),
    ...(state === 'joining' && row.roles?.includes('validator') && { seeksSeat: true as const }),
    ...(labels && { labels }),
    ...(capabilities && { capabilities }),
    ...(invite && { invite: invite.toHex() }),
    ...(reason !== undefined && { reason }),
  };
}

/** By the row and the epoch that it follows from: policies ask at every event. */
const standings = new WeakMap<Uint8Array, { readonly epoch: number; readonly of: Standing }>();

/** What policies know of a member; of one who left or has no key, nothing. */
export function standing(actor: Id, rows: Reading): Standing | undefined {
  const row = rows.get(ofActor(actor));
  if (!row) return undefined;
  const epoch = epochOf(rows);
  const known = standings.get(row);
  if (known?.epoch === epoch) return known.of;
  const decoded = rowOf(rows, actor);
  if (!decoded || isGone(decoded) || keyOf(actor, rows) === undefined) return undefined;
  const { roles = [], labels = [] } = readMember(rows, actor) ?? {};
  const of = { roles: ['member', ...roles], labels };
  standings.set(row, { epoch, of });
  return of;
}
