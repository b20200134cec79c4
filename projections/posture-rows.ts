import { decode, encode } from '#ledger/codec.ts';
import { thresholdsOf } from '#ledger/committee.ts';
import { bytesOf, hexOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows, Seats } from '#ledger/projection.ts';
import {
  SEVERE_LEVEL, agreed, dueLevel, leftOf, leftOfConviction, supportOf,
} from './posture-grades.ts';
import type { Fault, Held } from './posture-grades.ts';
import { whoGoes } from './posture-room.ts';
import type { Claim } from './posture-room.ts';

/**
 * Rows: `subjects` → [actor...] of whom there is anything, `subject/<64 hex digits>` → Subject,
 * `isolated` → [[actor, level, until_ms, (level, until_ms of a floor)]...] in the order of the log:
 * whom a grade was given to.
 */
const SUBJECTS = 'subjects';
const ISOLATED = 'isolated';
const ofSubject = (actor: Id): string => `subject/${actor}`;

/** Members of whom something is held; those whose points are gone make room. */
export const SUBJECTS_MAX = 256;
/** Ids of its last reports that a reporter's row names: an isolation may name any of them. */
const REPORT_IDS_MAX = 8;

export type Reading = Pick<Rows, 'get'>;

/** What one validator reported of one member. */
export interface Reported extends Held {
  readonly reporter: Uint8Array;
  /** Of the last report. */
  readonly what: Fault;
  readonly count: number;
  readonly to_ms: number;
  /** Ids of the last reports, the newest last. */
  readonly ids: readonly Uint8Array[];
}

/** Evidence of equivocation, as points. */
export interface Conviction extends Held {
  readonly id: Uint8Array;
}

/** What an operator ordered, beside a graver grade by rule: that falls back to it. */
export interface Floor {
  readonly level: number;
  readonly until_ms: number;
  readonly author: Uint8Array;
  readonly reason: string;
}

/** What holds until it ends, is lowered or made graver. */
export interface Isolation {
  readonly level: number;
  /** When this level began. */
  readonly since_ms: number;
  readonly until_ms: number;
  /** Whether it was lowered to this level. */
  readonly isLowered: boolean;
  /** An operator's stays until it ends, or an operator lowers it. */
  readonly by: 'rule' | 'operator';
  readonly author: Uint8Array;
  readonly reason: string;
  /** Under a grade by rule only. */
  readonly floor?: Floor;
}

export interface Subject {
  readonly reports: readonly Reported[];
  readonly conviction?: Conviction;
  readonly isolation?: Isolation;
}

export function subjectOf(rows: Reading, actor: Id): Subject | undefined {
  const row = rows.get(ofSubject(actor));
  return row && (decode(row) as Subject);
}

/** What holds at a time: the isolation, or what is left of it once that has ended. */
export function isolationAt(
  isolation: Isolation | undefined,
  ts_ms: number,
): Isolation | undefined {
  if (!isolation || isolation.until_ms > ts_ms) return isolation;
  const floor = floorAt(isolation, ts_ms);
  return floor && { ...floor, since_ms: isolation.until_ms, isLowered: false, by: 'operator' };
}

/** What an operator ordered as it holds at a time. */
export function floorAt(isolation: Isolation | undefined, ts_ms: number): Floor | undefined {
  if (!isolation) return undefined;
  const { level, until_ms, author, reason } = isolation;
  const one = isolation.by === 'operator' ? { level, until_ms, author, reason } : isolation.floor;
  return one && one.until_ms > ts_ms ? one : undefined;
}

export function subjectsIn(rows: Reading): Id[] {
  const row = rows.get(SUBJECTS);
  return row ? (decode(row) as Uint8Array[]).map(hexOf) : [];
}

/**
 * False where there is no room, though nothing is kept of members whose points are gone, and
 * `claim` may take another's place (`posture-room.ts`).
 */
export function putSubject(
  rows: Rows,
  actor: Id,
  subject: Subject,
  ts_ms: number,
  claim?: Claim,
): boolean {
  const subjects = subjectsIn(rows);
  if (!subjects.includes(actor)) {
    let kept = subjects.length < SUBJECTS_MAX ? subjects : withoutPast(rows, subjects, ts_ms);
    if (kept.length >= SUBJECTS_MAX && claim) {
      const gone = whoGoes(reportersIn(rows, kept, ts_ms), claim);
      if (gone !== undefined) rows.remove(ofSubject(gone));
      kept = kept.filter((one) => one !== gone);
    }
    if (kept.length >= SUBJECTS_MAX) return false;
    rows.put(SUBJECTS, encode([...kept, actor].map(bytesOf)));
  }
  rows.put(ofSubject(actor), encode(subject));
  return true;
}

function withoutPast(rows: Rows, subjects: readonly Id[], ts_ms: number): Id[] {
  return subjects.filter((actor) => {
    const { reports, conviction, isolation } = subjectOf(rows, actor) as Subject;
    const isPast =
      reports.every((one) => leftOf(one, ts_ms) === 0) &&
      (!conviction || leftOfConviction(conviction, ts_ms) === 0) &&
      !isolationAt(isolation, ts_ms);
    if (isPast) rows.remove(ofSubject(actor));
    return !isPast;
  });
}

/** Who reports those that are neither isolated nor convicted. */
function reportersIn(rows: Rows, subjects: readonly Id[], ts_ms: number): Map<Id, readonly Id[]> {
  const found = new Map<Id, readonly Id[]>();
  for (const actor of subjects) {
    const { reports, conviction, isolation } = subjectOf(rows, actor) as Subject;
    if (isolationAt(isolation, ts_ms)) continue;
    if (conviction && leftOfConviction(conviction, ts_ms) > 0) continue;
    const held = reports.filter((one) => leftOf(one, ts_ms) > 0);
    found.set(actor, held.map(({ reporter }) => reporter.toHex()));
  }
  return found;
}

/** What a report leaves, with those of before that still weigh something. */
export function withReport(subject: Subject | undefined, one: Reported, ts_ms: number): Subject {
  const name = one.reporter.toHex();
  const before = subject?.reports.find(({ reporter }) => reporter.toHex() === name);
  const ids = [...(before?.ids ?? []), ...one.ids].slice(-REPORT_IDS_MAX);
  const others = (subject?.reports ?? []).filter((other) => {
    return other !== before && leftOf(other, ts_ms) > 0;
  });
  return { ...subject, reports: [...others, { ...one, ids }] };
}

type IsolatedRow = readonly (readonly [
  actor: Uint8Array,
  level: number,
  until_ms: number,
  floor?: number,
  floorUntil_ms?: number,
])[];

/** The level ends first, if it has a floor at all that outlasts it. */
interface Isolated {
  readonly actor: Id;
  readonly level: number;
  readonly until_ms: number;
  readonly floor: Pick<Floor, 'level' | 'until_ms'> | undefined;
}

/** By the row: policies ask at every event. */
const known = new WeakMap<Uint8Array, ReadonlyMap<Id, Isolated>>();
const NOBODY: ReadonlyMap<Id, Isolated> = new Map();

function isolatedIn(rows: Reading): ReadonlyMap<Id, Isolated> {
  const row = rows.get(ISOLATED);
  if (!row) return NOBODY;
  const found = known.get(row);
  if (found) return found;
  const list = (decode(row) as IsolatedRow).map(([bytes, level, until_ms, low, end_ms = 0]) => {
    const actor = hexOf(bytes);
    const floor = low === undefined ? undefined : { level: low, until_ms: end_ms };
    return [actor, { actor, level, until_ms, floor }] as const;
  });
  const made = new Map(list);
  known.set(row, made);
  return made;
}

/** Puts or takes a grade in the list; those that have ended go. */
export function setIsolated(
  rows: Rows,
  actor: Id,
  isolation: Isolation | undefined,
  ts_ms: number,
): void {
  const list = new Map([...isolatedIn(rows)].filter(([, one]) => givenAt(one, ts_ms) > 0));
  // who had a grade before keeps its place
  if (!isolation) list.delete(actor);
  else {
    const { level, until_ms, floor } = isolation;
    list.set(actor, { actor, level, until_ms, floor });
  }
  if (list.size === 0) rows.remove(ISOLATED);
  else {
    const row = [...list.values()].map(({ actor: who, level, until_ms, floor }) => {
      return [bytesOf(who), level, until_ms, ...(floor ? [floor.level, floor.until_ms] : [])];
    });
    rows.put(ISOLATED, encode(row));
  }
}

/** The level that was given, as far as it holds. */
function givenAt({ level, until_ms, floor }: Isolated, ts_ms: number): number {
  if (until_ms > ts_ms) return level;
  return floor && floor.until_ms > ts_ms ? floor.level : 0;
}

/**
 * The level that a member has at a time. The committee can spare f validators: when it has shrunk
 * since, those who came last are restricted only.
 */
export function levelOf(rows: Reading, actor: Id, ts_ms: number, seats: () => Seats): number {
  const list = isolatedIn(rows);
  const one = list.get(actor);
  const level = one ? givenAt(one, ts_ms) : 0;
  if (level < SEVERE_LEVEL) return level;
  const severe = severeOf(list, ts_ms, seats());
  const place = severe.indexOf(actor);
  return place >= faultyOf(seats()) ? SEVERE_LEVEL - 1 : level;
}

/** Whether one more validator could be done without. */
export function canSpare(rows: Reading, actor: Id, ts_ms: number, seats: Seats): boolean {
  if (!seats.validators.some((one) => one.actor === actor)) return true;
  const others = severeOf(isolatedIn(rows), ts_ms, seats).filter((one) => one !== actor);
  return others.length < faultyOf(seats);
}

function severeOf(list: ReadonlyMap<Id, Isolated>, ts_ms: number, { validators }: Seats): Id[] {
  const seated = new Set(validators.map(({ actor }) => actor));
  return [...list.values()].flatMap((one) => {
    return givenAt(one, ts_ms) >= SEVERE_LEVEL && seated.has(one.actor) ? [one.actor] : [];
  });
}

/** Traitors that a committee bears: one vote each (wire.md). */
export function faultyOf({ validators }: Seats): number {
  return thresholdsOf(validators.length).validity - 1;
}

/** Points of every reporter that sits in the committee, and what grade is due by them. */
export function judge(
  subject: Subject,
  actor: Id,
  ts_ms: number,
  seats: Seats,
  isNamed: (id: Uint8Array) => boolean = () => true,
): { readonly score: number; readonly due: number } {
  const seated = new Set(seats.validators.map((one) => one.actor));
  const points = subject.reports.flatMap((one) => {
    const reporter = one.reporter.toHex();
    const counts = seated.has(reporter) && reporter !== actor && one.ids.some(isNamed);
    return counts ? [leftOf(one, ts_ms)] : [];
  });
  const { conviction } = subject;
  const isHeld = conviction !== undefined && isNamed(conviction.id);
  const evidence = isHeld ? leftOfConviction(conviction, ts_ms) : 0;
  const score = agreed(points, supportOf(faultyOf(seats))) + evidence;
  return { score, due: dueLevel(score) };
}
