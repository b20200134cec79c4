import type { Id } from '#ledger/ports.ts';
import type { Seats } from '#ledger/projection.ts';
import { GRADES, RECOVER_MS, STAY_MS } from './posture-grades.ts';
import type { Grade } from './posture-grades.ts';
import {
  canSpare, floorAt, isolationAt, judge, levelOf, subjectOf, subjectsIn,
} from './posture-rows.ts';
import type { Reading } from './posture-rows.ts';

/** One member as people see it. */
export interface PostureView {
  readonly actor: Id;
  /** Milli-points that enough validators agree on. */
  readonly score: number;
  /** What holds now, and what is due by the score. */
  readonly grade: Grade;
  readonly due: Grade;
  /** Whether the committee can do without it. */
  readonly canSpare: boolean;
  readonly isConvicted: boolean;
  readonly isolation?: {
    /** As it was given; `grade` is milder while the committee can spare nobody. */
    readonly level: number;
    readonly since_ms: number;
    readonly until_ms: number;
    readonly by: 'rule' | 'operator';
    readonly author: Id;
    readonly reason: string;
    /** Not lowered before this time. */
    readonly recovers_ms: number;
    /** What an operator ordered, beside a graver grade by rule: that falls back to it. */
    readonly floor?: {
      readonly grade: Grade;
      readonly until_ms: number;
      readonly author: Id;
      readonly reason: string;
    };
  };
  readonly reports: readonly {
    readonly reporter: Id;
    readonly what: string;
    readonly count: number;
    readonly points: number;
    readonly at_ms: number;
    /** End of the span that the last report is about. */
    readonly to_ms: number;
    /** The newest last. */
    readonly ids: readonly Id[];
  }[];
  /** The event that holds the evidence. */
  readonly evidence?: Id;
}

/** One member, or `undefined` where nothing is held against it. */
export function readPosture(
  rows: Reading,
  actor: Id,
  seats: Seats,
  now_ms: number,
): PostureView | undefined {
  const subject = subjectOf(rows, actor);
  if (!subject) return undefined;
  const { score, due } = judge(subject, actor, now_ms, seats);
  const level = levelOf(rows, actor, now_ms, () => seats);
  const { conviction } = subject;
  const isolation = isolationAt(subject.isolation, now_ms);
  const floor = isolation?.by === 'rule' ? floorAt(isolation, now_ms) : undefined;
  return {
    actor,
    score,
    grade: GRADES[level] as Grade,
    due: GRADES[due] as Grade,
    canSpare: canSpare(rows, actor, now_ms, seats),
    isConvicted: conviction !== undefined,
    ...(isolation && level > 0 && {
      isolation: {
        level: isolation.level,
        since_ms: isolation.since_ms,
        until_ms: isolation.until_ms,
        by: isolation.by,
        author: isolation.author.toHex(),
        reason: isolation.reason,
        recovers_ms: isolation.since_ms + (isolation.isLowered ? RECOVER_MS : STAY_MS),
        ...(floor && {
          floor: {
            grade: GRADES[floor.level] as Grade,
            until_ms: floor.until_ms,
            author: floor.author.toHex(),
            reason: floor.reason,
          },
        }),
      },
    }),
    reports: subject.reports.map(({ reporter, what, count, points, at_ms, to_ms, ids }) => {
      return {
        reporter: reporter.toHex(),
        what,
        count,
        points,
        at_ms,
        to_ms,
        ids: ids.map((one) => one.toHex()),
      };
    }),
    ...(conviction && { evidence: conviction.id.toHex() }),
  };
}

/** Everybody of whom something is held, in the order of the log. */
export function listPosture(rows: Reading, seats: Seats, now_ms: number): readonly PostureView[] {
  return subjectsIn(rows).flatMap((actor) => readPosture(rows, actor, seats, now_ms) ?? []);
}
