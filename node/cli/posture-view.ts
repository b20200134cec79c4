import type { PostureJson } from '#node/client.ts';
import { POINT } from '#projections/posture-grades.ts';
import { columns, utc } from './output.ts';
import { NOTHING, table } from './table.ts';

/** How one member behaves, as the API shows it. */
export type PostureOf = PostureJson['members'][number];

const points = (milli: number): string => (milli / POINT).toFixed(1);

const HEAD = ['actor', 'points', 'grade', 'until', 'by'];

export function describePosture(members: readonly PostureOf[]): string {
  const rows = members.map(({ actor, score, grade, isolation }) => {
    const held = isolation ? [utc(isolation.until_ms), isolation.by] : [NOTHING, NOTHING];
    return [actor, points(score), grade, ...held];
  });
  return table(HEAD, rows, ['points']);
}

export function describePostureOf(member: PostureOf): string {
  const { actor, score, grade, due, isolation, reports, evidence } = member;
  const rows: (readonly [string, string])[] = [
    ['actor', actor],
    ['score', `${points(score)} points`],
    ['grade', grade],
    ['due', due],
  ];
  if (isolation) {
    rows.push(
      ['since', utc(isolation.since_ms)],
      ['until', utc(isolation.until_ms)],
      ['lowered', `not before ${utc(isolation.recovers_ms)}`],
      ['by', `${isolation.by}, ${isolation.author}`],
      ['reason', isolation.reason],
    );
    const { floor } = isolation;
    if (floor) {
      const until = utc(floor.until_ms);
      rows.push(['falls to', `${floor.grade} until ${until}, by operator, ${floor.author}`]);
      rows.push(['ordered', floor.reason]);
    }
  }
  if (evidence !== undefined) rows.push(['evidence', evidence]);
  for (const { reporter, what, count, points: held, at_ms } of reports) {
    rows.push(['report', `${utc(at_ms)}  ${what} ×${count}, ${points(held)} points  ${reporter}`]);
  }
  return columns(rows);
}

