import { EVIDENCE_KIND } from '#ledger/evidence.ts';
import type { Genesis } from '#ledger/genesis.ts';
import type { Id } from '#ledger/ports.ts';
import { RETURN_KIND } from '#ledger/returning.ts';
import { KEY_KINDS } from '#ledger/rotation.ts';
import type { Membership, OrderedEvent, Projection, Rows } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { KEY_KIND_SPECS, actorOfKey, applyToKeys, keyOf, keyState } from './member-keys.ts';
import { admits, applyInvite, assertInvite, isInviteKind } from './members-invites.ts';
import { COMMITTEE_KINDS } from './members-kinds.ts';
import type { Joining } from './members-kinds.ts';
import { LIFECYCLE_KINDS } from './members-lifecycle-kinds.ts';
import { assertStep, isGone, isLifecycleKind, step } from './members-lifecycle.ts';
import { ofActor, ofEvidence, putRow, rowOf, startList } from './members-rows.ts';
import type { Row } from './members-rows.ts';
import {
  actorsOf, change, committees, convict, epochOf, seat, seatNext, seats,
} from './members-seats.ts';
import { standing } from './members-view.ts';

export { listInvites, listMembers, readInvite, readMember } from './members-view.ts';
export type { Member } from './members-view.ts';

/**
 * Who belongs to the network (docs/membership.md), and who sits in the committee (docs/epochs.md).
 * Operators invite and remove; members come by an invite and go by steps of a table. Operators
 * change the committee, a validator may leave by itself, and evidence of equivocation removes its
 * author by rule. All changes of one commit make one change set, which ends the epoch with this
 * commit. Who leaves a committee stays a member: its events still count, until it is retired or
 * removed.
 */
export const members: Projection & Membership = {
  name: 'members',
  version: 4,
  kinds: [...COMMITTEE_KINDS, ...KEY_KIND_SPECS, ...LIFECYCLE_KINDS],

  start(genesis: Genesis, rows: Rows): void {
    const { committee, operators } = genesis;
    const found = new Map<Id, Row>();
    for (const { actor, coseKey, peer } of committee) found.set(actor, { key: coseKey, peer });
    for (const actor of operators) found.set(actor, { ...found.get(actor), isOperator: true });
    for (const [actor, row] of found) putRow(rows, actor, row);
    startList(rows, [...found.keys()]);
    seat(rows, 0, committee);
  },

  apply(ordered: OrderedEvent, rows: Rows): VerdictName {
    const { event, ts_ms } = ordered;
    const { kind, actor, body } = event;
    if (KEY_KINDS.has(kind)) return applyToKeys(ordered, rows, committees(rows));
    if (isInviteKind(kind)) return applyInvite(event, ts_ms, rows);
    if (isLifecycleKind(kind)) return step(kind, actor, body, rows);
    if (kind === EVIDENCE_KIND) return convict(ordered, rows);
    if (kind === RETURN_KIND) {
      return actorsOf(rows, epochOf(rows)).includes(actor) ? 'applied' : 'not_validator';
    }
    if (kind === 'committee.leave/1') return change(rows, [], [actor]);
    if (rowOf(rows, actor)?.isOperator !== true) return 'not_operator';
    const { add = [], remove = [] } = body as {
      add?: readonly Joining[];
      remove?: readonly Uint8Array[];
    };
    return change(rows, add, remove.map((one) => one.toHex()));
  },

  standing,

  isMember(actor, rows) {
    const bytes = rows.get(ofActor(actor));
    if (!bytes) return false;
    let isHere = presence.get(bytes);
    if (isHere === undefined) {
      isHere = !isGone(rowOf(rows, actor) as Row);
      presence.set(bytes, isHere);
    }
    return isHere;
  },

  keyOf,
  keyState,
  actorOfKey,
  admits,

  assertFits(event, ts_ms, rows) {
    if (isInviteKind(event.kind)) assertInvite(event, ts_ms, rows);
    else if (isLifecycleKind(event.kind)) assertStep(event.kind, event.actor, event.body, rows);
  },

  endCommit: seatNext,

  isConvicted: (epoch, author, rows) => rows.get(ofEvidence(epoch, author)) !== undefined,

  seats,
};

/** Whether a row is that of a member who has not left: asked at every event. */
const presence = new WeakMap<Uint8Array, boolean>();
