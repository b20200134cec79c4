import test from 'ava';
import type { DagBlock } from '#ledger/dag.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import type { Ref } from '#ledger/header.ts';
import { idOf } from '#ledger/ids.ts';
import { Orderer } from '#ledger/orderer.ts';
import { propose, roundDelay_ms } from '#ledger/propose.ts';
import type { Pace, Proposal, Situation } from '#ledger/propose.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** When a replica seals, waits or rests (consensus.md 2.5), situation by situation. */

const { chain } = seededNet(4, 0, 'propose');
const { committee } = chain;
const PACE: Pace = { roundDelay_ms: 10, busyRoundDelay_ms: 50, leaderTimeout_ms: 200 };
const NOW = 1_000_000;

const genesis = (author: number): Ref => ({
  round: 0,
  author,
  id: genesisBlockId(chain.id, committee, author),
});

class Scene {
  readonly orderer = new Orderer(chain.id, committee, CREATED_MS);

  /** Accepts a block of `author`; its parents are all of the round below unless given. */
  add(round: number, author: number, more: Partial<DagBlock> & { mark?: string } = {}): DagBlock {
    const { mark = '', ...rest } = more;
    const below = [0, 1, 2, 3].flatMap((by) => this.orderer.dag.slot(round - 1, by)[0] ?? []);
    const own = this.orderer.dag.newestUpTo(author, round - 1) ?? (genesis(author) as DagBlock);
    const parents = [own, ...below.filter((one) => one.author !== author)];
    const block: DagBlock = {
      round,
      author,
      id: idOf(new TextEncoder().encode(`${round}/${author}/${mark}`)),
      parents: parents.map(({ round: r, author: by, id }) => ({ round: r, author: by, id })),
      ts_ms: CREATED_MS,
      hasPayload: false,
      ...rest,
    };
    this.orderer.accept(block);
    return block;
  }

  round(round: number, authors: readonly number[], more: Partial<DagBlock> = {}): this {
    for (const author of authors) this.add(round, author, more);
    return this;
  }

  propose(more: Partial<Situation> = {}, now_ms = NOW, pace = PACE): Proposal {
    const last = this.orderer.dag.newest(0) ?? genesis(0);
    return propose(
      {
        orderer: this.orderer,
        committee,
        self: 0,
        clockRound: last.round + 1,
        entered_ms: 0,
        last,
        lastSeal_ms: Number.NEGATIVE_INFINITY,
        lateness_ms: 0,
        referenced: new Map(),
        hasPayload: false,
        isConnected: () => true,
        ...more,
      },
      pace,
      now_ms,
    );
  }
}

const roundOf = (proposal: Proposal): number | string =>
  proposal.type === 'seal' ? proposal.round : proposal.type;

test('with nothing to order nobody proposes, at the start and later', (t) => {
  t.is(new Scene().propose().type, 'none');
  const scene = new Scene().round(1, [0, 1, 2, 3]).round(2, [0, 1, 2, 3]);
  t.is(scene.propose().type, 'none');
});

test('own payload wakes an idle node at once, over the genesis blocks, own first', (t) => {
  const proposal = new Scene().propose({ hasPayload: true });
  t.is(roundOf(proposal), 1);
  const parents = proposal.type === 'seal' ? proposal.parents : [];
  t.deepEqual(parents, [0, 1, 2, 3].map(genesis));
});

test("others' payload that is not ordered wakes a node, an ordered one does not", (t) => {
  const scene = new Scene();
  const block = scene.add(1, 1, { hasPayload: true });
  t.is(roundOf(scene.propose()), 1);
  scene.orderer.markOrdered(block);
  t.is(scene.propose().type, 'none');
});

test('a slot is proposed for once', (t) => {
  const scene = new Scene();
  const own = scene.add(1, 0, { hasPayload: true });
  t.is(scene.propose({ last: own, clockRound: 1, hasPayload: true }).type, 'none');
  t.is(scene.propose({ last: { ...own, round: 5 }, clockRound: 2, hasPayload: true }).type, 'none');
});

test('without a quorum one round back nobody proposes', (t) => {
  const scene = new Scene().round(1, [0, 1], { hasPayload: true });
  t.is(scene.propose({ clockRound: 2, hasPayload: true }).type, 'none');
  scene.add(1, 2);
  t.not(scene.propose({ clockRound: 2, hasPayload: true }).type, 'none');
});

test('between two own blocks at the live edge lies the round delay', (t) => {
  const scene = new Scene().round(1, [0, 1, 2, 3], { hasPayload: true });
  const waits = scene.propose({ lastSeal_ms: NOW - 4 });
  t.deepEqual(waits, { type: 'wait', until_ms: NOW + 6 });
  t.is(roundOf(scene.propose({ lastSeal_ms: NOW - 10 })), 2);
});

test('the delay grows with the lateness of the machine, up to the busy one', (t) => {
  t.is(roundDelay_ms(PACE, 0), 10);
  const delays = [1, 2, 5, 10, 1000].map((late_ms) => roundDelay_ms(PACE, late_ms));
  t.deepEqual(delays, delays.toSorted((x, y) => x - y));
  t.true((delays[0] ?? 0) > 10);
  t.is(delays.at(-1), 50);
  t.is(roundDelay_ms({ ...PACE, busyRoundDelay_ms: 1 }, 1000), 10, 'never below the short one');
});

/** A round whose leader is missing, after rounds in which all were there. */
function leaderless(): { scene: Scene; leader: number; round: number } {
  const scene = new Scene();
  let round = 2;
  while (scene.orderer.leaderOf(round) === 0) round += 1;
  const leader = scene.orderer.leaderOf(round);
  for (let r = 1; r < round; r++) scene.round(r, [0, 1, 2, 3], { hasPayload: true });
  scene.round(round, [0, 1, 2, 3].filter((author) => author !== leader), { hasPayload: true });
  return { scene, leader, round };
}

test('a node waits for the leader of the round below while it is alive and connected', (t) => {
  const { scene, leader, round } = leaderless();
  const at = { clockRound: round + 1, entered_ms: NOW - 50 };
  t.deepEqual(scene.propose(at), { type: 'wait', until_ms: NOW + 150 });
  t.is(roundOf(scene.propose(at, NOW + 150)), round + 1, 'not longer than the timeout');
  t.is(roundOf(scene.propose({ ...at, isConnected: (one) => one !== leader })), round + 1);
  t.is(roundOf(scene.propose({ ...at, isConnected: (one) => one === leader })), 'wait');
  scene.add(round, leader);
  t.is(roundOf(scene.propose(at)), round + 1);
});

test('a leader without a block in the last rounds is not waited for', (t) => {
  const scene = new Scene();
  for (let round = 1; round <= 30; round++) {
    const away = scene.orderer.leaderOf(13);
    if (away === 0) {
      t.pass('this chain has node 0 as leader here');
      return;
    }
    const authors = [0, 1, 2, 3].filter((author) => author !== away || round < 3);
    scene.round(round, authors, { hasPayload: true });
    if (scene.orderer.leaderOf(round) !== away || round < 12) continue;
    t.is(roundOf(scene.propose({ clockRound: round + 1, entered_ms: NOW })), round + 1);
  }
});

test('a woken idle node does not wait for a leader: its timeout is long over', (t) => {
  const { scene, round } = leaderless();
  t.is(roundOf(scene.propose({ clockRound: round + 1, entered_ms: NOW - 5000 })), round + 1);
});

test('the timeout grows while rounds stay undecided, and ends at five seconds', (t) => {
  const until = (rounds: number): number => {
    const scene = new Scene();
    for (let r = 1; r <= rounds; r++) scene.round(r, [0, 1, 2, 3], { hasPayload: true });
    let round = rounds + 1;
    while (scene.orderer.leaderOf(round) === 0) {
      scene.round(round, [0, 1, 2, 3]);
      round += 1;
    }
    const leader = scene.orderer.leaderOf(round);
    scene.round(round, [0, 1, 2, 3].filter((one) => one !== leader));
    const proposal = scene.propose({ clockRound: round + 1, entered_ms: NOW });
    return proposal.type === 'wait' ? proposal.until_ms - NOW : 0;
  };
  t.is(until(1), 200);
  const waits = [1, 12, 24, 60].map(until);
  t.deepEqual(waits, waits.toSorted((a, b) => a - b));
  t.is(waits.at(-1), 5000);
});

test('undecided rounds are filled one by one, at once, and not jumped over', (t) => {
  const scene = new Scene();
  for (let round = 1; round <= 5; round++) scene.round(round, [1, 2, 3], { hasPayload: true });
  const at = { clockRound: 6, lastSeal_ms: NOW, entered_ms: NOW };
  const first = scene.propose({ ...at, last: genesis(0) });
  t.is(roundOf(first), 1, 'without the round delay');
  const own = scene.add(1, 0);
  t.is(roundOf(scene.propose({ ...at, last: own })), 2);
  for (let round = 2; round <= 5; round++) scene.add(round, 0);
  t.is(scene.propose(at).type, 'wait', 'the live edge waits again');
});

test('decided rounds are not filled', (t) => {
  const scene = new Scene();
  for (let round = 1; round <= 9; round++) scene.round(round, [1, 2, 3], { hasPayload: true });
  scene.orderer.advance();
  const decidedRound = scene.orderer.decidedRound;
  t.true(decidedRound > 3);
  t.is(roundOf(scene.propose({ clockRound: 10, last: genesis(0) })), decidedRound + 1);
});

test('parents: the newest of each author that was not referenced, and no twins', (t) => {
  const scene = new Scene();
  scene.round(1, [0, 1, 2, 3], { hasPayload: true }).round(2, [0, 1, 2]);
  const parents = (more: Partial<Situation>): string => {
    const proposal = scene.propose({ clockRound: 3, ...more });
    const refs = proposal.type === 'seal' ? proposal.parents : [];
    return refs.map(({ round, author }) => `${author}@${round}`).join(' ');
  };
  t.is(parents({}), '0@2 1@2 2@2 3@1');
  t.is(parents({ referenced: new Map([[3, 1]]) }), '0@2 1@2 2@2');
  scene.add(2, 3);
  t.is(parents({}), '0@2 1@2 2@2 3@2');
  scene.add(2, 3, { mark: 'twin' });
  t.is(parents({}), '0@2 1@2 2@2');
});

test('a twin with payload that nobody refers to wakes nobody', (t) => {
  const scene = new Scene().round(1, [0, 1, 2]);
  scene.add(1, 3, { hasPayload: true, mark: 'a' });
  t.is(roundOf(scene.propose({ clockRound: 2 })), 2, 'alone it does');
  scene.add(1, 3, { hasPayload: true, mark: 'b' });
  t.is(scene.propose({ clockRound: 2 }).type, 'none');
  t.is(roundOf(scene.propose({ clockRound: 2, hasPayload: true })), 2, 'own payload goes on');
});
