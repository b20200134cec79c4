import test from 'ava';
import * as fc from 'fast-check';
import type { Id } from '#ledger/ports.ts';
import { bytesOf } from '#ledger/ids.ts';
import { thresholdsOf } from '#ledger/committee.ts';
import {
  CONVICTION, GRADES, PERIOD_MS, POINT, RECOVER_MS, SEVERE_LEVEL, STAY_MS, leftOf, leftOfConviction,
} from '#projections/posture-grades.ts';
import type { Grade } from '#projections/posture-grades.ts';
import { SUBJECTS_MAX } from '#projections/posture-rows.ts';
import { posture } from '#projections/posture.ts';
import { actorOf } from '#test/support/policy.ts';
import { BOSS, PostureBench } from '#test/support/posture.ts';

const levelOf = (grade: Grade): number => GRADES.indexOf(grade);
const faulty = (size: number): number => thresholdsOf(size).validity - 1;
const [observer, stranger] = [actorOf('observer'), actorOf('stranger')];

test('points halve with time, never grow, and are gone in the end', (t) => {
  const held = fc.record({ points: fc.nat(120_000), at_ms: fc.constant(0) });
  fc.assert(
    fc.property(held, fc.nat(10_000_000), fc.nat(10_000_000), (one, a_ms, b_ms) => {
      const [early, late] = [Math.min(a_ms, b_ms), Math.max(a_ms, b_ms)];
      const [before, after] = [leftOf(one, early), leftOf(one, late)];
      return (
        Number.isSafeInteger(before) && after <= before && before <= one.points && after >= 0 &&
        leftOfConviction(one, late) >= after
      );
    }),
  );
  t.is(leftOf({ points: 100_000, at_ms: 0 }, 600_000), 50_000);
  t.is(leftOf({ points: 100_000, at_ms: 0 }, 300_000), 75_000);
  t.is(leftOf({ points: 100_000, at_ms: 0 }, 1_200_000), 25_000);
  t.is(leftOf({ points: 120_000, at_ms: 0 }, 600_000 * 31), 0);
});

test('reports come from validators, about others, once a period', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1] = bench.validators as [Id, Id];
  t.is(bench.report(v0, v1), 'applied');
  t.is(bench.report(v0, v1), 'posture_too_soon');
  bench.now_ms += PERIOD_MS - 1;
  t.is(bench.report(v0, v1), 'posture_too_soon');
  bench.now_ms += 1;
  t.is(bench.report(v0, v1), 'applied');
  t.is(bench.report(v0, v0), 'posture_own');
  t.is(bench.report(v0, stranger), 'posture_unknown');
  t.is(bench.report(v0, observer), 'applied');
  t.is(bench.report(observer, v0), 'posture_not_permitted');
  t.is(bench.report(BOSS, v0), 'posture_not_permitted');
  const body = { actor: bytesOf(v1), what: 'flooding', count: 1 };
  const at = (from_ms: number, to_ms: number) =>
    bench.apply('posture.report/1', { ...body, from_ms, to_ms }, bench.validators[2] as Id).verdict;
  t.is(at(bench.now_ms, bench.now_ms - 1), 'posture_bounds');
  t.is(at(bench.now_ms - 16 * 60_000, bench.now_ms), 'posture_bounds');
  t.is(at(bench.now_ms, bench.now_ms + 61_000), 'posture_bounds');
});

test('no single reporter, and no f of them, isolates anybody', (t) => {
  for (const size of [1, 2, 3, 4, 7, 10, 13]) {
    const bench = new PostureBench(size);
    const liars = bench.validators.slice(0, Math.max(1, faulty(size)));
    bench.accuse(liars, observer, 60);
    for (const grade of GRADES.slice(1)) {
      for (const liar of liars) {
        t.is(bench.isolate(liar, observer, grade), 'posture_not_due', `${size} ${grade}`);
      }
    }
    t.is(bench.grade(observer), 'none');
    t.is(bench.view(observer)?.due, 'none');
  }
});

test('f + 1 reporters lead step by step to every grade, each when it is due', (t) => {
  const bench = new PostureBench(7);
  const [v0] = bench.validators as [Id];
  const reporters = bench.validators.slice(0, 3);
  const seen = new Set<string>();
  for (let round = 0; round < 8; round += 1) {
    bench.accuse(reporters, observer, 1);
    const due = bench.view(observer)?.due ?? 'none';
    seen.add(due);
    const above = GRADES[levelOf(due) + 1];
    if (above) t.is(bench.isolate(v0, observer, above), 'posture_not_due');
    const before = bench.grade(observer);
    const expected = due === before ? 'posture_not_due' : 'applied';
    t.is(bench.isolate(v0, observer, due), expected);
    t.is(bench.grade(observer), due);
  }
  t.deepEqual([...seen], ['monitored', 'rate_limited', 'restricted', 'quarantined', 'blocked']);
});

test('the basis has to carry the grade by itself', (t) => {
  const bench = new PostureBench(7);
  const [v0] = bench.validators as [Id];
  bench.accuse(bench.validators.slice(0, 4), observer, 8);
  const basis = bench.basisOf(observer);
  const by = (some: readonly Uint8Array[]) =>
    bench.isolate(v0, observer, 'blocked', { basis: some });
  t.is(by([]), 'posture_unfounded');
  t.is(by([bytesOf(stranger)]), 'posture_unfounded');
  t.is(by([...basis, bytesOf(stranger)]), 'posture_unfounded');
  t.is(by(basis.slice(0, 2)), 'posture_not_due');
  t.is(bench.isolate(observer, v0, 'blocked'), 'posture_not_permitted');
  t.is(by(basis.slice(0, 3)), 'applied');
  const other = new PostureBench(7);
  other.accuse(other.validators.slice(0, 4), observer, 8);
  t.is(other.isolate(v0, stranger, 'blocked', { basis }), 'posture_unknown');
});

test('reports of who has left the committee weigh nothing', (t) => {
  const bench = new PostureBench(10);
  const [v0] = bench.validators as [Id];
  bench.accuse(bench.validators.slice(6), observer, 8);
  t.is(bench.view(observer)?.due, 'blocked');
  bench.seat(6);
  t.is(bench.view(observer)?.due, 'none');
  t.is(bench.isolate(v0, observer, 'blocked'), 'posture_not_due');
});

test('recovery: by score, one grade at a time, after a stay, not more often than a period', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1, v2] = bench.validators as [Id, Id, Id];
  bench.accuse([v0, v1, v2], observer, 8);
  t.is(bench.recover(v0, observer), 'posture_unknown');
  t.is(bench.isolate(v0, observer, 'blocked'), 'applied');
  bench.now_ms += STAY_MS;
  t.is(bench.recover(v0, observer), 'posture_not_due', 'the score still says so');
  t.is(bench.recover(observer, observer), 'posture_own');
  bench.now_ms += 600_000;
  const levels = [bench.grade(observer)];
  for (let step = 0; step < 200 && bench.grade(observer) !== 'none'; step += 1) {
    const before = levelOf(bench.grade(observer));
    if (bench.recover(v0, observer) === 'applied') {
      const after = levelOf(bench.grade(observer));
      t.is(after, before - 1);
      levels.push(bench.grade(observer));
      if (after > 0) t.not(bench.recover(v1, observer), 'applied', 'not twice within a period');
    }
    bench.now_ms += RECOVER_MS / 2;
  }
  t.deepEqual(levels, [...GRADES].toReversed());
});

test('an isolation that has ended has no effect, and is said again while it is due', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1] = bench.validators as [Id, Id];
  bench.accuse([v0, v1], observer, 8);
  const until = (until_ms: number) => bench.isolate(BOSS, observer, 'blocked', { until_ms });
  t.is(until(bench.now_ms), 'posture_bounds');
  t.is(until(bench.now_ms + 1000), 'applied');
  const graded = (at_ms: number): string | undefined =>
    posture.isolationOf(observer, at_ms, bench.rows, bench.seats);
  t.is(graded(bench.now_ms + 999), 'blocked');
  t.is(graded(bench.now_ms + 1000), undefined);
  bench.now_ms += 1000;
  t.is(bench.grade(observer), 'none');
  t.is(bench.isolate(v1, observer, 'blocked'), 'applied');
});

test('by rule a grade holds its time, whatever end is said', (t) => {
  for (const until_ms of [0, 1, 1_000_000_001, 9e15]) {
    const bench = new PostureBench(4);
    const [v0, v1] = bench.validators as [Id, Id];
    bench.accuse([v0, v1], observer, 8);
    t.is(bench.isolate(v0, observer, 'blocked', { until_ms }), 'applied');
    const held = bench.view(observer)?.isolation?.until_ms;
    t.is(held, bench.now_ms + 2 * 3_600_000, `${until_ms}`);
  }
});

test('an operator isolates with a reason and lowers it; rules do not', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1] = bench.validators as [Id, Id];
  t.is(bench.isolate(v0, observer, 'restricted', { by: 'operator' }), 'posture_not_permitted');
  t.is(bench.isolate(BOSS, BOSS, 'restricted'), 'posture_own');
  t.is(bench.isolate(BOSS, observer, 'restricted'), 'applied');
  t.is(bench.isolate(BOSS, observer, 'monitored'), 'posture_not_due');
  t.is(bench.recover(BOSS, observer), 'posture_too_soon');
  bench.now_ms += STAY_MS;
  t.is(bench.recover(v0, observer), 'posture_not_due');
  bench.accuse([v0, v1], observer, 8);
  t.is(bench.isolate(v0, observer, 'blocked'), 'applied', 'rules may go further');
  bench.now_ms += 30 * 60_000;
  t.is(bench.recover(v0, observer), 'applied', 'and back');
  bench.now_ms += RECOVER_MS;
  t.is(bench.recover(v0, observer), 'applied');
  t.is(bench.grade(observer), 'restricted');
  bench.now_ms += STAY_MS;
  t.is(bench.recover(v0, observer), 'posture_not_due', 'to what was ordered');
  t.is(bench.recover(BOSS, observer), 'applied');
  t.is(bench.grade(observer), 'rate_limited');
});

test("an operator's mild, long grade does not lengthen a graver one by rule", (t) => {
  const bench = new PostureBench(4);
  const [v0, v1] = bench.validators as [Id, Id];
  const until_ms = bench.now_ms + 30 * 24 * 3_600_000;
  t.is(bench.isolate(BOSS, observer, 'monitored', { until_ms, reason: 'new' }), 'applied');
  bench.accuse([v0, v1], observer, 8);
  t.is(bench.isolate(v0, observer, 'quarantined', { until_ms }), 'applied');
  const given = bench.view(observer)?.isolation;
  t.is(given?.by, 'rule');
  t.is(given?.until_ms, bench.now_ms + 2 * 3_600_000);
  const floor = { grade: 'monitored', until_ms, author: BOSS, reason: 'new' } as const;
  t.deepEqual(given?.floor, floor, 'it is shown beside the graver one');
  t.is(bench.isolate(v0, observer, 'blocked', { until_ms }), 'applied');
  t.deepEqual(bench.view(observer)?.isolation?.floor, floor);
  bench.now_ms += 2 * 3_600_000 - 1;
  t.is(bench.grade(observer), 'blocked');
  bench.now_ms += 1;
  t.is(bench.grade(observer), 'monitored');
  const { isolation } = bench.view(observer) ?? {};
  t.like(isolation, { by: 'operator', level: 1, until_ms, reason: 'new', author: BOSS });
  t.is(isolation?.floor, undefined);
  bench.now_ms += STAY_MS;
  t.is(bench.recover(v0, observer), 'posture_not_due');
  bench.now_ms = until_ms - 1;
  t.is(bench.grade(observer), 'monitored');
  bench.now_ms += 1;
  t.is(bench.grade(observer), 'none');
});

test('what an operator ordered outlives others that end, and an operator ends it', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1, v2] = bench.validators as [Id, Id, Id];
  const until_ms = bench.now_ms + 30 * 24 * 3_600_000;
  t.is(bench.isolate(BOSS, observer, 'monitored', { until_ms }), 'applied');
  bench.accuse([v0, v1], observer, 8);
  t.is(bench.isolate(v0, observer, 'blocked'), 'applied');
  bench.now_ms += 3 * 3_600_000;
  // another's grade rewrites the list of all
  t.is(bench.isolate(BOSS, v2, 'monitored'), 'applied');
  t.is(bench.grade(observer), 'monitored');
  t.is(bench.recover(BOSS, observer), 'applied');
  t.is(bench.grade(observer), 'none');
});

test('evidence of equivocation counts in full by itself, and for days', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1] = bench.validators as [Id, Id];
  bench.convict(v0, v1);
  t.is(bench.view(v1)?.score, CONVICTION);
  t.is(bench.view(v1)?.due, 'blocked');
  t.is(bench.isolate(v0, v1, 'blocked'), 'applied');
  bench.now_ms += 24 * 3_600_000;
  t.is(bench.view(v1)?.score, 50 * POINT);
  t.is(bench.view(v1)?.due, 'restricted');
});

test('never more than f validators are quarantined or blocked, by rule or by operators', (t) => {
  const act = fc.record({
    who: fc.nat(12),
    grade: fc.constantFrom(...GRADES.slice(1)),
    author: fc.nat(3),
    what: fc.constantFrom('accuse', 'isolate', 'recover', 'wait', 'shrink'),
  });
  const sizes = fc.constantFrom(1, 2, 3, 4, 7, 10, 13);
  fc.assert(
    fc.property(sizes, fc.array(act, { maxLength: 60 }), (size, acts) => {
      const bench = new PostureBench(size);
      let seated: number = size;
      for (const { who, grade, author, what } of acts) {
        const subject = bench.validators[who % size] as Id;
        const by = author === 0 ? BOSS : (bench.validators[author % size] as Id);
        if (what === 'accuse') bench.accuse(bench.validators, subject, 7);
        else if (what === 'isolate') bench.isolate(by, subject, grade);
        else if (what === 'recover') bench.recover(by, subject);
        else if (what === 'wait') bench.now_ms += 10 * 60_000;
        else bench.seat((seated = Math.max(1, seated - 1)));
        const severe = bench.validators.slice(0, seated).filter((one) => {
          return levelOf(bench.grade(one)) >= SEVERE_LEVEL;
        });
        if (severe.length > faulty(seated)) return false;
      }
      return true;
    }),
    { numRuns: 60 },
  );
  t.pass();
});

test('the same log gives the same rows, and they are bounded', (t) => {
  const run = (): PostureBench => {
    const bench = new PostureBench(7);
    for (let each = 0; each < 40; each += 1) {
      const subject = bench.validators[each % 7] as Id;
      bench.accuse(bench.validators.slice(0, 4), subject, 1);
      bench.isolate(bench.validators[each % 4] as Id, subject, 'monitored');
    }
    return bench;
  };
  const [a, b] = [run(), run()];
  t.deepEqual([...a.rows.rows], [...b.rows.rows]);
  t.true(a.list().every(({ reports }) => reports.length <= 7));
  t.true(a.list().every(({ reports }) => reports.every(({ ids }) => ids.length <= 8)));
});

test('one who reports everybody keeps out neither operators nor evidence', (t) => {
  const bench = new PostureBench(4);
  const [v0, v1, v2] = bench.validators as [Id, Id, Id];
  const crowd = Array.from({ length: SUBJECTS_MAX + 1 }, (_, i) => actorOf(`crowd ${i}`));
  bench.members.push(...crowd);
  const [first, second] = crowd as [Id, Id];
  for (const one of [first, second]) t.is(bench.report(v1, one), 'applied');
  for (const one of crowd.slice(0, SUBJECTS_MAX)) {
    t.is(bench.report(v0, one, 'flooding', 1), 'applied');
  }
  t.is(bench.list().length, SUBJECTS_MAX);
  t.is(bench.report(v0, observer), 'posture_bounds', 'it has more than its share');
  t.is(bench.isolate(BOSS, observer, 'blocked'), 'applied');
  t.is(bench.grade(observer), 'blocked');
  t.true(bench.convict(v0, v2));
  t.is(bench.view(v2)?.score, CONVICTION);
  t.is(bench.list().length, SUBJECTS_MAX);
  t.is(bench.view(first)?.reports.length, 2, 'what two hold is not dropped before what one does');
  t.is(bench.view(crowd[2] as Id), undefined);
  t.is(bench.view(crowd[3] as Id), undefined);
  t.is(bench.view(crowd[4] as Id)?.reports.length, 1);
});

test('those who report everybody do not keep out the reports of others', (t) => {
  const bench = new PostureBench(7);
  const [v0, v1, v2, v3, v4] = bench.validators as [Id, Id, Id, Id, Id];
  const crowd = Array.from({ length: SUBJECTS_MAX }, (_, i) => actorOf(`crowd ${i}`));
  bench.members.push(...crowd);
  // as many liars as the committee bears, so nobody's score is more than nothing by them
  for (const one of crowd) for (const liar of [v0, v1]) bench.report(liar, one, 'flooding', 1);
  t.is(bench.list().length, SUBJECTS_MAX);
  t.is(bench.report(v0, observer), 'posture_bounds');
  for (const one of [v2, v3, v4]) t.is(bench.report(one, observer), 'applied');
  t.is(bench.list().length, SUBJECTS_MAX);
  t.is(bench.view(crowd[0] as Id), undefined);
  t.is(bench.report(v0, crowd[0] as Id, 'flooding', 1), 'posture_bounds');
  t.not(bench.view(observer)?.due, 'none');
});
