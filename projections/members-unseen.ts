import { encode } from '#ledger/codec.ts';
import { thresholdsOf } from '#ledger/committee.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import { idsOf } from './members-rows.ts';
import type { Reading } from './members-rows.ts';

/**
 * Validators that nobody has seen at work yet: those who take their seats with the next epoch, and
 * those who took them and of whom no block was ordered since, in a commit with a final event.
 * Perhaps they do not run. As many of them as the next committee may have faulty ones (f), and no
 * more, leave it a quorum of validators that have been seen: else one change could end all
 * finality, and the change that undoes it could not become final either.
 *
 * Below four validators f is 0, and a network could neither grow nor shrink while somebody is new.
 * Where fewer than four sit, one unseen one is borne, at the network's own risk: all of two and of
 * three are needed.
 */

/** A committee of fewer tolerates nobody that is down. */
const TOLERANT_MIN = 4;

/** Row: [actor...] who sit in the present committee and were not seen; none where it is empty. */
const UNSEEN = 'unseen';
/** Row: [actor...] who were invited as validators and wait for their seat, in order. */
const WAITING = 'waiting';
/** Row: [actor...] of those who wait, who had a seat and gave it up unseen, in order. */
const DISPLACED = 'displaced';

/** How a committee would stand: who was not seen of it, and how many of these there may be. */
export interface Standing {
  readonly unseen: number;
  readonly most: number;
}

/** `bearsOne`: whether one unseen one is borne where f is 0. */
export function standingOf(
  rows: Reading,
  present: readonly Id[],
  next: readonly Id[],
  bearsOne = isSmall(present),
): Standing {
  const { validity } = thresholdsOf(next.length);
  const faulty = validity - 1;
  return {
    unseen: unseenOf(rows, present, next).length,
    most: bearsOne ? Math.max(1, faulty) : faulty,
  };
}

function isSmall(present: readonly Id[]): boolean {
  return present.length < TOLERANT_MIN;
}

/** Who of the next committee was not seen, as it stands. */
function unseenOf(rows: Reading, present: readonly Id[], next: readonly Id[]): Id[] {
  const seated = new Set(present);
  const unseen = new Set(listIn(rows, UNSEEN));
  return next.filter((actor) => !seated.has(actor) || unseen.has(actor));
}

/**
 * The next committee without those who would take its quorum: the ledger's own steps (evidence,
 * draining, removing) shrink it without a question. The last seated of the unseen go first, and
 * wait for a seat then. One stays in any case; of a small committee all do.
 */
export function displace(rows: Rows, present: readonly Id[], next: readonly Id[]): Id[] {
  if (isSmall(present)) return [...next];
  const staying = [...next];
  const unseen = unseenOf(rows, present, next);
  const displaced: Id[] = [];
  while (staying.length > 1) {
    const { unseen: count, most } = standingOf(rows, present, staying);
    if (count <= most) break;
    const last = unseen.pop() as Id;
    staying.splice(staying.indexOf(last), 1);
    displaced.unshift(last);
  }
  if (displaced.length > 0) {
    putWaiting(rows, [...waitingIn(rows), ...displaced]);
    putList(rows, DISPLACED, [...listIn(rows, DISPLACED), ...displaced]);
  }
  return staying;
}

/** Who waits for a seat that it gave up: a small committee does not bear it unseen once more. */
export function isDisplaced(rows: Reading, actor: Id): boolean {
  return listIn(rows, DISPLACED).includes(actor);
}

/** Blocks of these were ordered. */
export function markSeen(rows: Rows, actors: ReadonlySet<Id>): void {
  const before = listIn(rows, UNSEEN);
  const after = before.filter((actor) => !actors.has(actor));
  if (after.length < before.length) putList(rows, UNSEEN, after);
}

/** The next committee takes its seats. */
export function renewUnseen(rows: Rows, present: readonly Id[], next: readonly Id[]): void {
  const after = unseenOf(rows, present, next);
  if (after.length > 0 || rows.get(UNSEEN)) putList(rows, UNSEEN, after);
}

export function isUnseen(rows: Reading, actor: Id): boolean {
  return listIn(rows, UNSEEN).includes(actor);
}

export function waitingIn(rows: Reading): Id[] {
  return listIn(rows, WAITING);
}

export function putWaiting(rows: Rows, actors: readonly Id[]): void {
  putList(rows, WAITING, actors);
  const displaced = listIn(rows, DISPLACED);
  const staying = displaced.filter((actor) => actors.includes(actor));
  if (staying.length < displaced.length) putList(rows, DISPLACED, staying);
}

function listIn(rows: Reading, name: string): Id[] {
  const row = rows.get(name);
  return row ? idsOf(row) : [];
}

function putList(rows: Rows, name: string, actors: readonly Id[]): void {
  if (actors.length === 0) rows.remove(name);
  else rows.put(name, encode(actors.map((actor) => Uint8Array.fromHex(actor))));
}
