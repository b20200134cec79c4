/**
 * Scores and grades of the posture projection, in integers only: a point is 1,000 milli-points.
 * What is set here is part of what the projection's version stands for.
 *
 * A fault adds points, which halve every `HALF_LIFE_MS` of commit time. Gossipsub's peer scores and
 * the bans of `p2p/score.ts` decay in the same manner (libp2p's gossipsub 1.1, "Peer Scoring");
 * here the exponential is drawn through its halvings and straight between them, so that it is exact
 * in integers: after k half-lives and r milliseconds of H, p becomes p' = floor(p / 2^k), less
 * floor(p' * r / 2H).
 */

/** From none to the gravest; a grade's index is its level. */
export const GRADES = [
  'none',
  'monitored',
  'rate_limited',
  'restricted',
  'quarantined',
  'blocked',
] as const;
export type Grade = (typeof GRADES)[number];

/** Its holder may do nothing at all, and a committee can spare at most f such members. */
export const SEVERE_LEVEL = 4;

export const POINT = 1_000;
/** Milli-points from which on a grade is due, by level. */
const THRESHOLDS = [0, 10, 25, 50, 75, 95].map((points) => points * POINT);
/** How long an isolation by rule holds, by level; what is still due is said again. */
const HOURS = [0, 1, 1, 1, 2, 2];
const HOUR_MS = 3_600_000;

/** What reports say a member did: milli-points for each time. */
export const FAULTS = {
  /** Forged or malformed: no honest node sends it. Two or three in a minute ban a peer anyway. */
  invalid_message: 10 * POINT,
  /** It claimed an identity that its proof does not give. */
  failed_attestation: 10 * POINT,
  /** More than it may send; load does that, too. */
  flooding: POINT,
  /** No fault by itself: in the long run it is worth a look, never more. */
  unreachable: POINT / 10,
} as const;
export type Fault = keyof typeof FAULTS;

/** One report adds at most this, whatever it counts. */
const OF_REPORT_MAX = 20 * POINT;
/** Reports of absence alone end at 20 points: monitored. */
const OF_ABSENCE_MAX = POINT;
/** What one reporter holds against a member at most, and what evidence weighs at most. */
const HELD_MAX = 120 * POINT;
/** Evidence of equivocation: by itself enough for the last grade. */
export const CONVICTION = 100 * POINT;

/** One reporter speaks of one member so often, in commit time. */
export const PERIOD_MS = 60_000;
const HALF_LIFE_MS = 600_000;
/** Two signed blocks of one slot are no accident: days, not minutes. */
const CONVICTION_HALF_LIFE_MS = 24 * HOUR_MS;

/** So long a grade stays before it is lowered the first time, and from one step to the next. */
export const STAY_MS = 120_000;
export const RECOVER_MS = 60_000;
/** An operator's isolation holds at most 30 days. */
export const ORDERED_MS_MAX = 30 * 24 * HOUR_MS;

/** Points at a time, in milli-points. */
export interface Held {
  readonly points: number;
  readonly at_ms: number;
}

function decayed({ points, at_ms }: Held, ts_ms: number, halfLife_ms: number): number {
  const past_ms = Math.max(0, ts_ms - at_ms);
  const halvings = Math.floor(past_ms / halfLife_ms);
  if (halvings >= 31) return 0;
  const left = Math.floor(points / 2 ** halvings);
  return left - Math.floor((left * (past_ms % halfLife_ms)) / (2 * halfLife_ms));
}

/** What is left of reported points. */
export function leftOf(held: Held, ts_ms: number): number {
  return decayed(held, ts_ms, HALF_LIFE_MS);
}

/** What is left of evidence. */
export function leftOfConviction(held: Held, ts_ms: number): number {
  return decayed(held, ts_ms, CONVICTION_HALF_LIFE_MS);
}

/** What a report adds to what its author holds already. */
export function added(held: Held | undefined, what: Fault, count: number, ts_ms: number): Held {
  const most = what === 'unreachable' ? OF_ABSENCE_MAX : OF_REPORT_MAX;
  const more = Math.min(most, FAULTS[what] * Math.min(count, OF_REPORT_MAX));
  const before = held ? leftOf(held, ts_ms) : 0;
  return { points: Math.min(HELD_MAX, before + more), at_ms: ts_ms };
}

/** The same for evidence. */
export function convicted(held: Held | undefined, ts_ms: number): Held {
  const before = held ? leftOfConviction(held, ts_ms) : 0;
  return { points: Math.min(HELD_MAX, before + CONVICTION), at_ms: ts_ms };
}

/**
 * The score of a member of whom reporters hold `points` each: as much as `support` reporters agree
 * on, that is the support-th greatest, so fewer than `support` liars raise it by nothing.
 */
export function agreed(points: readonly number[], support: number): number {
  return points.toSorted((a, b) => b - a)[support - 1] ?? 0;
}

/**
 * How many reporters a score takes in a committee that bears `faulty` traitors: more than there may
 * be of those, and always two.
 */
export function supportOf(faulty: number): number {
  return Math.max(2, faulty + 1);
}

/** The gravest level that is due. */
export function dueLevel(score: number): number {
  return THRESHOLDS.findLastIndex((threshold) => score >= threshold);
}

/**
 * Whether a score lies so far below what a level takes that it is lowered: a fifth, so that a grade
 * does not come and go at its threshold.
 */
export function isOver(score: number, level: number): boolean {
  return score * 5 < (THRESHOLDS[level] as number) * 4;
}

/** Milliseconds from its commit that an isolation by rule holds, unless it is lowered. */
export function holds_ms(level: number): number {
  return (HOURS[level] ?? 0) * HOUR_MS;
}

/** For people: milli-points from which on the grade is due. */
export function thresholdOf(grade: Grade): number {
  return THRESHOLDS[GRADES.indexOf(grade)] as number;
}
