import { keyId } from '#ledger/cose.ts';
import { EVIDENCE_KIND } from '#ledger/evidence.ts';
import type { EvidenceBody } from '#ledger/evidence.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type {
  Isolating, OrderedEvent, Projection, Rows, Seats, StandingOf,
} from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import {
  GRADES, ORDERED_MS_MAX, PERIOD_MS, RECOVER_MS, SEVERE_LEVEL, STAY_MS, added, convicted, holds_ms,
  isOver, supportOf,
} from './posture-grades.ts';
import type { Grade } from './posture-grades.ts';
import {
  ISOLATE_KIND, PostureIsolate, PostureRecover, PostureReport, RECOVER_KIND, REPORT_KIND,
} from './posture-kinds.ts';
import type { IsolateBody, RecoverBody, ReportBody } from './posture-kinds.ts';
import {
  canSpare, faultyOf, floorAt, isolationAt, judge, levelOf, putSubject, setIsolated, subjectOf,
  withReport,
} from './posture-rows.ts';
import type { Isolation } from './posture-rows.ts';

/** A report speaks of the recent past: before this it is too old, in commit time. */
const REPORT_AGE_MS_MAX = 15 * 60_000;
/** Clocks differ. */
const AHEAD_MS_MAX = 60_000;

/**
 * How members behave, as validators report it and evidence proves it, and the grades of isolation
 * that follow (docs/zero-trust.md). Reports add points (`posture-grades.ts`), never a single
 * validator's word: a score is what more validators hold against a member than there may be
 * traitors. A validator says that a grade is due and names what it follows from; the reducer
 * reckons it again. An operator may say so by its own right, with a reason. A committee is never
 * left with fewer validators than a quorum takes.
 */
export const posture: Projection & Isolating = {
  name: 'posture',
  version: 2,
  kinds: [
    {
      kind: ISOLATE_KIND,
      about: 'A member gets a graver grade: by a validator as its score says, or by an operator.',
      body: PostureIsolate,
    },
    {
      kind: RECOVER_KIND,
      about: "A member's grade becomes the next milder one; by a validator or an operator.",
      body: PostureRecover,
    },
    {
      kind: REPORT_KIND,
      about: 'What a validator saw a member do, counted over a span of time.',
      body: PostureReport,
    },
  ],
  watches: [EVIDENCE_KIND],

  start(): void {
    // nobody has done anything yet
  },

  apply(
    { event, id, ts_ms }: OrderedEvent,
    rows: Rows,
    standingOf: StandingOf = () => undefined,
    seatsOf: () => Seats = () => ({ epoch: 0, validators: [] }),
  ): VerdictName {
    const body = event.body as unknown;
    const { actor } = body as { actor: Uint8Array };
    if (actor.toHex() === event.actor) return 'posture_own';
    const seats = seatsOf();
    const isSeated = seats.validators.some((one) => one.actor === event.actor);
    if (event.kind === REPORT_KIND) {
      if (!isSeated) return 'posture_not_permitted';
      if (!standingOf(actor.toHex())) return 'posture_unknown';
      return report(event.actor, id, body as ReportBody, ts_ms, rows, seats);
    }
    const { by } = body as IsolateBody | RecoverBody;
    const isOperator = standingOf(event.actor)?.roles.includes('operator') === true;
    if (!(by === 'operator' ? isOperator : isSeated)) return 'posture_not_permitted';
    if (event.kind === RECOVER_KIND) return recover(body as RecoverBody, ts_ms, rows, seats);
    if (!standingOf(actor.toHex())) return 'posture_unknown';
    return isolate(event.actor, body as IsolateBody, ts_ms, rows, seats);
  },

  observe({ event, id, ts_ms }: OrderedEvent, rows: Rows, holderOf: (key: Id) => Id): void {
    const { key } = event.body as unknown as EvidenceBody;
    const actor = holderOf(keyId(key));
    const subject = subjectOf(rows, actor) ?? { reports: [] };
    const conviction = { ...convicted(subject.conviction, ts_ms), id: bytesOf(id) };
    putSubject(rows, actor, { ...subject, conviction }, ts_ms, 'certain');
  },

  isolationOf(actor, ts_ms, rows, seats): Grade | undefined {
    const level = levelOf(rows, actor, ts_ms, seats);
    return level === 0 ? undefined : GRADES[level];
  },
};

function report(
  author: Id,
  id: Id,
  { actor, what, count, from_ms, to_ms }: ReportBody,
  ts_ms: number,
  rows: Rows,
  seats: Seats,
): VerdictName {
  const isRecent = from_ms >= ts_ms - REPORT_AGE_MS_MAX && to_ms <= ts_ms + AHEAD_MS_MAX;
  if (from_ms > to_ms || !isRecent) return 'posture_bounds';
  const subject = subjectOf(rows, actor.toHex());
  const before = subject?.reports.find(({ reporter }) => reporter.toHex() === author);
  const isEarly = before && (ts_ms < before.at_ms + PERIOD_MS || from_ms < before.to_ms);
  if (isEarly) return 'posture_too_soon';
  const held = added(before, what, count, ts_ms);
  const one = { ...held, reporter: bytesOf(author), what, count, to_ms, ids: [bytesOf(id)] };
  const claim = { reporter: author, support: supportOf(faultyOf(seats)) };
  const isKept = putSubject(rows, actor.toHex(), withReport(subject, one, ts_ms), ts_ms, claim);
  return isKept ? 'applied' : 'posture_bounds';
}

function isolate(
  author: Id,
  body: IsolateBody,
  ts_ms: number,
  rows: Rows,
  seats: Seats,
): VerdictName {
  const { grade, reason, by, basis = [] } = body;
  const actor = body.actor.toHex();
  const level = GRADES.indexOf(grade);
  const subject = subjectOf(rows, actor) ?? { reports: [] };
  if (by === 'rule') {
    const named = new Set(basis.map((one) => one.toHex()));
    const held = [...subject.reports.flatMap(({ ids }) => ids), ...convictionIds(subject)];
    const found = new Set(held.map((one) => one.toHex()));
    if (named.size === 0 || ![...named].every((one) => found.has(one))) return 'posture_unfounded';
    const { due } = judge(subject, actor, ts_ms, seats, (one) => named.has(one.toHex()));
    if (due < level) return 'posture_not_due';
  }
  const present = levelOf(rows, actor, ts_ms, () => seats);
  if (level <= present) return 'posture_not_due';
  if (level >= SEVERE_LEVEL && !canSpare(rows, actor, ts_ms, seats)) return 'posture_quorum';
  if (by === 'operator' && body.until_ms <= ts_ms) return 'posture_bounds';
  // a traitor among the validators must not say when a rule's grade ends
  const until_ms =
    ts_ms + (by === 'rule' ? holds_ms(level) : Math.min(body.until_ms - ts_ms, ORDERED_MS_MAX));
  const before = isolationAt(subject.isolation, ts_ms);
  const ordered = floorAt(before, ts_ms);
  // a rule lengthens what a rule gave; what an operator ordered stands beside it
  const lengthened = by === 'operator' ? ordered : before?.by === 'rule' ? before : undefined;
  const isolation: Isolation = {
    level,
    since_ms: ts_ms,
    until_ms: Math.max(until_ms, lengthened?.until_ms ?? 0),
    isLowered: false,
    by,
    author: bytesOf(author),
    reason,
    ...(by === 'rule' && ordered && { floor: ordered }),
  };
  const isKept = putSubject(rows, actor, { ...subject, isolation }, ts_ms, 'certain');
  if (!isKept) return 'posture_bounds';
  setIsolated(rows, actor, isolation, ts_ms);
  return 'applied';
}

function convictionIds({ conviction }: { conviction?: { id: Uint8Array } }): Uint8Array[] {
  return conviction ? [conviction.id] : [];
}

function recover(body: RecoverBody, ts_ms: number, rows: Rows, seats: Seats): VerdictName {
  const actor = body.actor.toHex();
  const subject = subjectOf(rows, actor);
  const isolation = isolationAt(subject?.isolation, ts_ms);
  if (!subject || !isolation) return 'posture_unknown';
  if (body.by === 'rule') {
    const { score } = judge(subject, actor, ts_ms, seats);
    if (isolation.by === 'operator' || !isOver(score, isolation.level)) return 'posture_not_due';
  }
  const stays_ms = isolation.isLowered ? RECOVER_MS : STAY_MS;
  if (ts_ms < isolation.since_ms + stays_ms) return 'posture_too_soon';
  const level = isolation.level - 1;
  if (level === 0) {
    const { isolation: _, ...rest } = subject;
    putSubject(rows, actor, rest, ts_ms);
    setIsolated(rows, actor, undefined, ts_ms);
    return 'applied';
  }
  const ordered = isolation.by === 'rule' ? floorAt(isolation, ts_ms) : undefined;
  const isOrdered = ordered !== undefined && ordered.level >= level;
  const lowered: Isolation = {
    ...(isOrdered ? { ...ordered, by: 'operator' } : { ...isolation, level }),
    since_ms: ts_ms,
    isLowered: true,
  };
  putSubject(rows, actor, { ...subject, isolation: lowered }, ts_ms);
  setIsolated(rows, actor, lowered, ts_ms);
  return 'applied';
}
