import { decode, encode } from '#ledger/codec.ts';
import { Committee } from '#ledger/committee.ts';
import type { Validator } from '#ledger/committee.ts';
import { keyId } from '#ledger/cose.ts';
import { readEvidence } from '#ledger/evidence.ts';
import { bytesOf, equalBytes } from '#ledger/ids.ts';
import { COMMITTEE_MAX } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import type { OrderedEvent, Rows, Seats } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { actorOfKey, isAccusing, keyOf, keyState } from './member-keys.ts';
import type { Committees } from './member-keys.ts';
import type { Joining } from './members-kinds.ts';
import {
  EPOCH, MEMBERS_MAX, NEXT, actorOfPeer, enlist, idsOf, listOf, ofActor, ofEpoch, ofEvidence,
  putRow, rowOf,
} from './members-rows.ts';
import type { Reading, Row } from './members-rows.ts';
import {
  displace, isDisplaced, markSeen, putWaiting, renewUnseen, standingOf, waitingIn,
} from './members-unseen.ts';

/** Who sits in the committee, and how that changes. */

/** A newcomer that nobody is. */
const SOMEBODY = '';

type SeatsRow = readonly [
  id: Uint8Array,
  actors: readonly Uint8Array[],
  keys?: readonly Uint8Array[],
];

export function seat(rows: Rows, epoch: number, validators: readonly Validator[]): void {
  const { id } = new Committee(epoch, validators);
  const actors = validators.map(({ actor }) => bytesOf(actor));
  const keys = validators.map(({ coseKey }) => bytesOf(keyId(coseKey)));
  const areFirst = keys.every((key, i) => equalBytes(key, actors[i] as Uint8Array));
  rows.put(ofEpoch(epoch), encode([bytesOf(id), actors, ...(areFirst ? [] : [keys])]));
  rows.put(EPOCH, encode(epoch));
}

/**
 * The end of a commit that holds blocks of these authors. Makes its changes the next epoch's
 * committee, with those of the waiting for whom there is room by now, and without the unseen who
 * would leave it no quorum; false where there are none.
 */
export function seatNext(rows: Rows, authors: ReadonlySet<number>): boolean {
  const epoch = epochOf(rows);
  const present = actorsOf(rows, epoch);
  markSeen(rows, new Set(present.filter((_, author) => authors.has(author))));
  seatWaiting(rows);
  const row = rows.get(NEXT);
  if (!row) return false;
  rows.remove(NEXT);
  const next = displace(rows, present, idsOf(row));
  renewUnseen(rows, present, next);
  seat(rows, epoch + 1, next.map((actor) => validatorOf(rows, actor)));
  return true;
}

/** The committee that the next epoch gets as things stand. */
function nextActors(rows: Reading): Id[] {
  const next = rows.get(NEXT);
  return next ? idsOf(next) : actorsOf(rows, epochOf(rows));
}

/** One change of the set, or none: the verdict says why. */
export function change(
  rows: Rows,
  add: readonly Joining[],
  remove: readonly Id[],
): VerdictName {
  const before = nextActors(rows);
  const leaving = new Set(remove);
  if (leaving.size < remove.length || remove.some((actor) => !before.includes(actor))) {
    return 'not_validator';
  }
  const after = before.filter((actor) => !leaving.has(actor));
  const peers = new Set(after.map((actor) => rowOf(rows, actor)?.peer));
  const strangers = new Map<Id, Row>();
  for (const joining of add) {
    const found = joinerOf(rows, joining);
    if (typeof found === 'string') return found;
    const [actor, row] = found;
    if (after.includes(actor)) return 'already_validator';
    if (row.barred) return 'member_barred';
    // a seat wants a node that works
    if (row.state !== undefined && row.state !== 'active') return 'member_transition';
    if (peers.has(row.peer)) return 'peer_taken';
    peers.add(row.peer);
    after.push(actor);
    if (!rowOf(rows, actor)) strangers.set(actor, row);
  }
  if (after.length < 1 || after.length > COMMITTEE_MAX) return 'committee_bounds';
  const isOver = listOf(rows).length + strangers.size > MEMBERS_MAX;
  if (strangers.size > 0 && isOver) return 'member_bounds';
  if (!keepsQuorum(rows, before, after)) return 'committee_quorum';
  for (const [actor, row] of strangers) {
    enlist(rows, actor);
    putRow(rows, actor, row);
  }
  rows.put(NEXT, encode(after.map(bytesOf)));
  waitNoMore(rows, after);
  return 'applied';
}

function waitNoMore(rows: Rows, actors: readonly Id[]): void {
  const waiting = waitingIn(rows);
  const others = waiting.filter((actor) => !actors.includes(actor));
  if (others.length < waiting.length) putWaiting(rows, others);
}

/**
 * Whether a quorum of those who were seen at work is left (`members-unseen.ts`), or a change of an
 * unsafe committee makes it safer: who does not run can be taken out again.
 */
function keepsQuorum(rows: Reading, before: readonly Id[], after: readonly Id[]): boolean {
  const present = actorsOf(rows, epochOf(rows));
  const { unseen, most } = standingOf(rows, present, after);
  if (unseen <= most) return true;
  const now = standingOf(rows, present, before);
  return now.unseen > now.most && unseen - most < now.unseen - now.most;
}

/**
 * Who is to get a seat, as it stands on the ledger. A key that is nobody's makes a new member with
 * the peer id that its operator names. The pair of who is a member stays: it was vouched for.
 */
function joinerOf(rows: Reading, joining: Joining): readonly [Id, Row] | VerdictName {
  if ('actor' in joining) {
    const actor = joining.actor.toHex();
    const row = rowOf(rows, actor);
    if (!row) return 'member_unknown';
    if (keyOf(actor, rows) === undefined) return 'key_revoked';
    return row.peer === undefined ? 'member_roles' : [actor, row];
  }
  const { key, peer, addrs = [] } = joining;
  const id = keyId(key);
  const actor = actorOfKey(id, rows) ?? id;
  const row = rowOf(rows, actor);
  const holder = actorOfPeer(rows, peer) ?? actor;
  if (!row) {
    const made = { key, peer, ...(addrs.length > 0 && { addrs }) };
    return holder === actor ? [actor, made] : 'peer_taken';
  }
  const state = keyState(actor, id, rows);
  if (state !== 'present') return state === 'revoked' ? 'key_revoked' : 'key_retired';
  // with other keys than at first it is named by its actor
  return row.peer === peer && id === actor ? [actor, row] : 'member_known';
}

/** Whether it would leave an empty committee behind. */
export function isLastValidator(rows: Reading, actor: Id): boolean {
  const next = nextActors(rows);
  return next.length === 1 && next[0] === actor;
}

/** Takes the seat of one who has one, at the end of the epoch; who waits for one gets none. */
export function unseat(rows: Rows, actor: Id): void {
  waitNoMore(rows, [actor]);
  const before = nextActors(rows);
  const after = before.filter((one) => one !== actor);
  if (after.length < before.length) rows.put(NEXT, encode(after.map(bytesOf)));
}

/** What changes of keys do to the next committee. */
export function committees(rows: Rows): Committees {
  return {
    renew(actor) {
      const next = nextActors(rows);
      if (next.includes(actor)) rows.put(NEXT, encode(next.map(bytesOf)));
    },
    unseat: (actor) => unseatUnlessLast(rows, actor),
  };
}

/** The last validator of all stays: without it nothing would ever be final again. */
function unseatUnlessLast(rows: Rows, actor: Id): void {
  if (!isLastValidator(rows, actor)) unseat(rows, actor);
}

/** Who was invited as a validator is ready: it gets a seat as soon as there is room. */
export function takeSeat(rows: Rows, actor: Id): void {
  putWaiting(rows, [...waitingIn(rows), actor]);
  seatWaiting(rows);
}

/**
 * Gives seats to those who wait, in order, as long as a quorum of those who were seen is left. The
 * cordoned wait on, and who has no key; who is barred waits no more.
 */
function seatWaiting(rows: Rows): void {
  const waiting = waitingIn(rows);
  const next = nextActors(rows);
  const present = actorsOf(rows, epochOf(rows));
  const hasRoom = (actor = SOMEBODY): boolean => {
    const bearsOne = isDisplaced(rows, actor) ? false : undefined;
    const { unseen, most } = standingOf(rows, present, [...next, actor], bearsOne);
    return next.length < COMMITTEE_MAX && unseen <= most;
  };
  if (waiting.length === 0 || !hasRoom()) return;
  const staying = waiting.filter((actor) => {
    const row = rowOf(rows, actor);
    const isAble = row?.state === undefined || row.state === 'cordoned';
    if (!isAble || row?.peer === undefined || row.barred || next.includes(actor)) return false;
    const isFit = row.state === undefined && keyOf(actor, rows) !== undefined;
    if (!isFit || !hasRoom(actor)) return true;
    next.push(actor);
    return false;
  });
  if (staying.length === waiting.length) return;
  putWaiting(rows, staying);
  if (next.length > nextActors(rows).length) rows.put(NEXT, encode(next.map(bytesOf)));
}

/** The first evidence for an epoch and author counts; its signatures are part of its validity. */
export function convict({ event, seq, ts_ms }: OrderedEvent, rows: Rows): VerdictName {
  const { chain, body } = event;
  const evidence = readEvidence(body);
  if (!evidence) return 'bad_body';
  const { epoch, author, round, key, committee } = evidence;
  const row = rows.get(ofEpoch(epoch));
  const [id, actors, keys = actors] = row ? (decode(row) as SeatsRow) : [];
  const actor = actors?.[author]?.toHex();
  const isFounded =
    evidence.chain === chain && id?.toHex() === committee && keys?.[author]?.toHex() === key;
  if (!isFounded || actor === undefined) return 'evidence_unfounded';
  if (!isAccusing(key, ts_ms, rows)) return 'evidence_unfounded';
  if (rows.get(ofEvidence(epoch, author))) return 'evidence_known';
  rows.put(ofEvidence(epoch, author), encode([seq, round]));
  rows.put(ofActor(actor), encode({ ...rowOf(rows, actor), barred: true }));
  unseatUnlessLast(rows, actor);
  return 'applied';
}

export function epochOf(rows: Reading): number {
  const row = rows.get(EPOCH);
  return row ? (decode(row) as number) : 0;
}

export function actorsOf(rows: Reading, epoch: number): Id[] {
  const row = rows.get(ofEpoch(epoch));
  return row ? (decode(row) as SeatsRow)[1].map((actor) => actor.toHex()) : [];
}

/** Every seat has had a key and a peer since it was taken. */
export function validatorOf(rows: Reading, actor: Id): Validator {
  const { key, peer } = rowOf(rows, actor) as { readonly key: Uint8Array; readonly peer: string };
  return { actor, coseKey: key, peer, stake: 1 };
}

export function seats(rows: Reading): Seats {
  const epoch = epochOf(rows);
  return { epoch, validators: actorsOf(rows, epoch).map((actor) => validatorOf(rows, actor)) };
}
