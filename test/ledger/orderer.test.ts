import test from 'ava';
import type { Commit } from '#ledger/commit.ts';
import { decodeCommit, encodeCommit } from '#ledger/commit.ts';
import type { DagBlock } from '#ledger/dag.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import { leaderSchedule } from '#ledger/leaders.ts';
import { GC_DEPTH } from '#ledger/limits.ts';
import { Orderer } from '#ledger/orderer.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { seeded } from '#test/support/fake-link.ts';
import { seededNet } from '#test/support/seeded-actor.ts';
import { randomDag, reordered } from './random-dag.ts';

/** From blocks to commits: the same on every node, whatever came first, and after a restart. */

const { chain } = seededNet(4, 0, 'orderer');
const { committee } = chain;
const fresh = (): Orderer => new Orderer(chain.id, committee, CREATED_MS);
const genesis: readonly DagBlock[] = committee.validators.map((_, author) => ({
  round: 0,
  author,
  id: genesisBlockId(chain.id, committee, author),
  parents: [],
  ts_ms: CREATED_MS,
  hasPayload: false,
}));

function dag(seed: number, rounds: number, equivocators = 1): DagBlock[] {
  const random = seeded(seed);
  return randomDag({ n: 4, rounds, equivocators, away: 0.15, narrow: 0.4 }, random, genesis);
}

function feed(orderer: Orderer, blocks: readonly DagBlock[], every: number): Commit[] {
  const commits: Commit[] = [];
  for (const [i, block] of blocks.entries()) {
    orderer.accept(block);
    if (i % every === 0) commits.push(...orderer.advance().commits);
  }
  commits.push(...orderer.advance().commits);
  return commits;
}

test('commits do not depend on the order of blocks nor on how often the rule runs', (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const blocks = dag(seed, 25);
    const whole = feed(fresh(), blocks, 1);
    t.true(whole.length > 5);
    const other = feed(fresh(), reordered(blocks, seeded(seed + 99)), 1 + (seed % 9));
    t.deepEqual(other.map(({ id }) => id), whole.map(({ id }) => id), `seed ${seed}`);
  }
});

test('commits are a chain: every block once, times that never go back', (t) => {
  const commits = feed(fresh(), dag(5, 200), 3);
  const seen = new Set<string>();
  let previous = { id: chain.id, index: 0, ts_ms: 0 };
  for (const commit of commits) {
    t.is(commit.previous, previous.id);
    t.is(commit.index, previous.index + 1);
    t.true(commit.ts_ms >= previous.ts_ms);
    t.is(commit.blocks.at(-1)?.id, commit.leader.id);
    for (const { id, round } of commit.blocks) {
      t.false(seen.has(id));
      t.true(round > 0);
      seen.add(id);
    }
    t.deepEqual(decodeCommit(encodeCommit(commit)), commit);
    previous = commit;
  }
  t.true(commits.length > 100);
});

test('memory is bounded by the horizon', (t) => {
  const orderer = fresh();
  const commits = feed(orderer, dag(6, 300), 1);
  const { last } = orderer.state;
  t.is(orderer.dag.horizon, last.leaderRound - GC_DEPTH);
  t.true(orderer.dag.size <= (GC_DEPTH + 10) * 5);
  t.true(commits.length > 150);
});

for (const seed of [1, 2, 3]) {
  test(`a restarted orderer goes on to the same commits (seed ${seed})`, (t) => {
    const blocks = dag(seed, 150);
    const whole = feed(fresh(), blocks, 1);
    const cut = 150 + 97 * seed;
    const first = fresh();
    const before = feed(first, blocks.slice(0, cut), 1);
    const { state } = first;
    const again = new Orderer(chain.id, committee, CREATED_MS, state);
    t.is(again.dag.horizon, first.dag.horizon);
    for (const block of blocks.slice(0, cut)) {
      if (block.round > again.dag.horizon) again.accept(block);
    }
    for (const { blocks: refs } of before) for (const ref of refs) again.markOrdered(ref);
    t.is(again.openCount, first.openCount);
    const after = feed(again, blocks.slice(cut), 2);
    t.deepEqual([...before, ...after].map(({ id }) => id), whole.map(({ id }) => id));
  });
}

test('payload that fell below the horizon unordered is handed back, once', (t) => {
  const orderer = fresh();
  const blocks = dag(9, 140, 0).filter(({ author, round }) => author !== 3 || round <= 1);
  const usable = new Map(genesis.map((one) => [one.id, one]));
  const lost: string[] = [];
  let orphan: DagBlock | undefined;
  for (const block of blocks) {
    if (!block.parents.every(({ id }) => usable.has(id)) && block.author !== 3) {
      // what refers to a block that was left out refers to no more than the rest
      const parents = block.parents.filter(({ id }) => usable.has(id));
      usable.set(block.id, { ...block, parents });
    } else usable.set(block.id, block);
    const one = usable.get(block.id) as DagBlock;
    const isOrphan = one.author === 3 && one.round === 1;
    if (isOrphan) orphan = { ...one, hasPayload: true };
    const without = one.parents.filter(({ author, round }) => author !== 3 || round === 0);
    orderer.accept(isOrphan ? (orphan as DagBlock) : { ...one, parents: without });
    lost.push(...orderer.advance().lost.map(({ id }) => id));
  }
  t.truthy(orphan);
  t.true(orderer.dag.horizon > 1);
  t.deepEqual(lost.filter((id) => id === orphan?.id), [orphan?.id]);
});

test('leaders: every validator leads once in n rounds, in an order that the chain fixes', (t) => {
  const leader = leaderSchedule(chain.id, committee);
  for (const start of [0, 1, 17]) {
    const four = [0, 1, 2, 3].map((i) => leader(start + i));
    t.deepEqual(four.toSorted((a, b) => a - b), [0, 1, 2, 3]);
  }
  t.is(leader(3), leader(7));
  const orders = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const other = leaderSchedule(i.toString(16).padStart(64, '0'), committee);
    orders.add([0, 1, 2, 3].map(other).join());
  }
  t.true(orders.size > 12, 'chains differ in their order');
});
