import test from 'ava';
import { existsSync, readFileSync } from 'node:fs';
import { thresholdsOf } from '#ledger/committee.ts';
import { Dag } from '#ledger/dag.ts';
import type { DagBlock } from '#ledger/dag.ts';
import { commitTime_ms, linearise } from '#ledger/linearise.ts';
import { RoundClock } from '#ledger/round-clock.ts';
import { CommitRule, TwoCertificates } from '#ledger/rule.ts';
import type { Decision, Slot } from '#ledger/rule.ts';
import { runCase } from '#test/conformance/cases.ts';
import type { CaseFile } from '#test/conformance/cases.ts';
import { codeIn } from '#test/support/codes.ts';
import { seeded } from '#test/support/fake-link.ts';
import { closedView, genesisBlocks, randomDag, reordered } from './random-dag.ts';

/** The commit rule, its clock and its times, against published cases and random DAGs. */

interface Vectors {
  readonly vectors: readonly {
    readonly id: string;
    readonly kind: string;
    readonly n: number;
    readonly start: number;
    readonly ops: readonly { round: number; author: number; expectRound: number }[];
    readonly cases: readonly Record<string, unknown>[];
  }[];
}

const samples = new URL('../../../shared/conformance/dag-cases.sample.json', import.meta.url);
const file = existsSync(samples)
  ? (JSON.parse(readFileSync(samples, 'utf8')) as CaseFile & Vectors)
  : undefined;

test('all published cases are decided and ordered as their sources say', (t) => {
  if (!file) {
    t.log(`skipped: no case file at ${samples.pathname}`);
    t.pass();
    return;
  }
  t.true(file.cases.length > 10);
  for (const one of file.cases) t.deepEqual(runCase(one).failures, [], one.id);
});

test('the published vectors hold; an even count takes the lower median', (t) => {
  if (!file) {
    t.log(`skipped: no case file at ${samples.pathname}`);
    t.pass();
    return;
  }
  const kinds = new Set<string>();
  for (const vector of file.vectors) {
    kinds.add(vector.kind);
    if (vector.kind === 'threshold_clock') {
      const clock = new RoundClock(thresholdsOf(vector.n), () => 1, vector.start);
      for (const [i, { round, author, expectRound }] of vector.ops.entries()) {
        clock.add(round, author, 0);
        t.is(clock.round, expectRound, `${vector.id} step ${i}`);
      }
    }
    if (vector.kind === 'thresholds') {
      for (const one of vector.cases) {
        const { total, quorum, validity } = one as Record<string, number>;
        t.deepEqual(thresholdsOf(total as number), one as never, `${total} ${quorum} ${validity}`);
      }
    }
    if (vector.kind !== 'commit_timestamp') continue;
    for (const one of vector.cases) {
      const { parents, last, expect } = one as {
        parents: Record<string, number>;
        last: number;
        expect: number;
      };
      const times = Object.values(parents);
      // the source takes the upper of the two middle ones; wire.md, "Clocks", takes the lower
      const lower = times.toSorted((a, b) => a - b)[(times.length - 1) >> 1] ?? 0;
      const wanted = times.length % 2 === 0 ? Math.max(last, lower) : expect;
      const list = times.map((ts_ms) => ({ ts_ms, stake: 1 }));
      t.is(commitTime_ms(last, list), wanted, JSON.stringify(one));
    }
  }
  t.deepEqual([...kinds].toSorted(), ['commit_timestamp', 'threshold_clock', 'thresholds']);
});

test('the clock: jumps, repeats and late blocks', (t) => {
  const clock = new RoundClock(thresholdsOf(4), () => 1, 0, 7);
  const add = (round: number, ...authors: number[]): number => {
    for (const author of authors) clock.add(round, author, round * 10);
    return clock.round;
  };
  t.is(clock.entered_ms, 7);
  t.is(add(0, 0, 0, 0, 1), 0, 'an author counts once');
  t.is(add(0, 2), 1);
  t.is(clock.entered_ms, 0);
  t.is(add(4, 1), 4, 'a block shows the quorum below');
  t.is(clock.entered_ms, 40);
  t.is(add(3, 0, 2, 3), 4, 'late blocks change nothing');
  t.is(add(4, 0, 3), 5);
  const alone = new RoundClock(thresholdsOf(1), () => 1);
  alone.add(0, 0, 0);
  alone.add(9, 0, 0);
  t.is(alone.round, 10, 'the quorum is tested again after a jump');
});

test('the time of a commit is the weighted lower median and never goes back', (t) => {
  const at = (ts_ms: number, stake = 1) => ({ ts_ms, stake });
  t.is(commitTime_ms(0, [at(4), at(1), at(3), at(2)]), 2);
  t.is(commitTime_ms(0, [at(3), at(1), at(2)]), 2);
  t.is(commitTime_ms(5, [at(3), at(1), at(2)]), 5);
  t.is(commitTime_ms(0, [at(1), at(2), at(9, 3)]), 9);
  t.is(commitTime_ms(0, [at(1, 2), at(2), at(9)]), 1);
  t.is(
    codeIn(() => commitTime_ms(0, [])),
    'no_quorum',
  );
});

const configOf = (n: number) => ({
  thresholds: thresholdsOf(n),
  stakeOf: () => 1,
  leadersOf: (round: number) => [(round * 7) % n],
});

function dagOf(n: number, blocks: readonly DagBlock[]): Dag {
  const dag = new Dag();
  for (const block of [...genesisBlocks(n), ...blocks]) dag.add(block);
  return dag;
}

const shown = (one: Decision): string =>
  `${one.round} ${one.status} ${one.status === 'commit' ? one.block.id : ''}`;

const decided = (n: number, blocks: readonly DagBlock[]): string[] =>
  new CommitRule(dagOf(n, blocks), configOf(n)).decide(undefined).map(shown);

for (const n of [1, 4, 7]) {
  test(`n=${n}: what any two views decide, one is a prefix of the other`, (t) => {
    let decisions = 0;
    let skips = 0;
    for (let seed = 0; seed < 120; seed++) {
      const random = seeded(1000 * n + seed);
      const equivocators = seed % 3 === 0 ? 0 : Math.floor((n - 1) / 3);
      const shape = { n, rounds: 14, equivocators, away: random() * 0.6, narrow: random() };
      const blocks = randomDag(shape, random);
      const whole = decided(n, blocks);
      const views = Array.from({ length: 4 }, () => closedView(blocks, random));
      for (const view of views) {
        const part = decided(n, view);
        t.deepEqual(part, whole.slice(0, part.length), `seed ${seed}`);
      }
      decisions += whole.length;
      skips += whole.filter((one) => one.includes('skip')).length;
    }
    t.true(decisions > 500, `${decisions} decisions`);
    if (n > 1) t.true(skips > 20, `${skips} skips`);
  });

  test(`n=${n}: deciding block by block is deciding at once, in any order`, (t) => {
    for (let seed = 0; seed < 40; seed++) {
      const random = seeded(7000 * n + seed);
      const equivocators = Math.floor((n - 1) / 3);
      const blocks = randomDag({ n, rounds: 12, equivocators, away: 0.3, narrow: 0.5 }, random);
      const whole = decided(n, blocks);
      const dag = dagOf(n, []);
      const rule = new CommitRule(dag, configOf(n));
      const found: string[] = [];
      let cursor: Slot | undefined;
      for (const block of reordered(blocks, random)) {
        dag.add(block);
        for (const one of rule.decide(cursor)) {
          found.push(shown(one));
          cursor = { round: one.round, author: one.author };
        }
        if (cursor) rule.forgetUpTo(cursor.round);
      }
      t.deepEqual(found, whole, `seed ${seed}`);
    }
  });
}

test('the order of a sub-DAG does not depend on the order in which blocks came', (t) => {
  for (let seed = 0; seed < 30; seed++) {
    const random = seeded(seed);
    const blocks = randomDag({ n: 4, rounds: 10, equivocators: 1, away: 0.2, narrow: 0.5 }, random);
    const leader = blocks.at(-1) as DagBlock;
    const before = new Set(blocks.filter(({ round }) => round < 3).map(({ id }) => id));
    const order = (list: readonly DagBlock[]): string[] =>
      linearise(dagOf(4, list), leader, 0, (id) => before.has(id)).map(({ id }) => id);
    const ids = order(blocks);
    t.deepEqual(order(reordered(blocks, random)), ids);
    const list = ids.map((id) => blocks.find((one) => one.id === id) as DagBlock);
    t.is(list.at(-1)?.id, leader.id);
    for (const [i, one] of list.entries()) {
      const next = list[i + 1];
      if (!next) continue;
      const isBefore =
        one.round < next.round ||
        (one.round === next.round && one.author < next.author) ||
        (one.round === next.round && one.author === next.author && one.id < next.id);
      t.true(isBefore);
    }
  }
});

test('above the horizon no block may be missing', (t) => {
  const blocks = randomDag({ n: 4, rounds: 6, equivocators: 0, away: 0, narrow: 0 }, seeded(1));
  const leader = blocks.at(-1) as DagBlock;
  const dag = dagOf(4, blocks);
  dag.prune(2);
  t.is(
    codeIn(() => linearise(dag, leader, 1, () => false)),
    'dag_hole',
  );
  t.true(linearise(dag, leader, 2, () => false).every(({ round }) => round > 2));
  t.is(
    codeIn(() => dagOf(4, blocks.slice(5))),
    'dag_hole',
  );
});

test('two certified blocks in one slot halt finality instead of forking it', (t) => {
  // n=4 with two faulty authors, one more than f: both twins of the leader get a quorum of votes
  const ref = ({ round, author, id }: DagBlock) => ({ round, author, id });
  const block = (round: number, author: number, id: string, parents: readonly DagBlock[]) => ({
    round,
    author,
    id,
    parents: parents.map(ref),
    ts_ms: 0,
    hasPayload: false,
  });
  const genesis = genesisBlocks(4);
  const first = [0, 1, 2, 3].map((a) => block(1, a, `1${a}`, genesis));
  const twin = block(1, 3, '1x', genesis);
  const [a1, b1, c1, d1] = first as unknown as [DagBlock, DagBlock, DagBlock, DagBlock];
  const votesA = [0, 1, 2].map((a) => block(2, a, `2a${a}`, [a1, b1, c1, d1]));
  const votesB = [1, 2, 3].map((a) => block(2, a, `2b${a}`, [a1, b1, c1, twin]));
  const third = [
    block(3, 0, '3a', votesA),
    block(3, 1, '3b', votesB),
    block(3, 2, '3c', [...votesB.slice(0, 2), votesA[0] as DagBlock]),
  ];
  const fourth = [0, 1, 2].map((a) => block(4, a, `4${a}`, third));
  const fifth = [0, 1, 2].map((a) => block(5, a, `5${a}`, fourth));
  const sixth = [0, 1, 2].map((a) => block(6, a, `6${a}`, fifth));
  const dag = dagOf(4, [
    ...first,
    twin,
    ...votesA,
    ...votesB,
    ...third,
    ...fourth,
    ...fifth,
    ...sixth,
  ]);
  const leadersOf = (round: number) => [round === 1 ? 3 : 0];
  const rule = new CommitRule(dag, { ...configOf(4), leadersOf });
  t.throws(() => rule.decide(undefined), { instanceOf: TwoCertificates });
});
