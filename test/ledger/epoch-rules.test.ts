import test from 'ava';
import type { DagBlock } from '#ledger/dag.ts';
import { decodeBlock, encodeBlock, sealBlock } from '#ledger/block.ts';
import { Committee } from '#ledger/committee.ts';
import { codeOf } from '#ledger/errors.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import { leaderSchedule } from '#ledger/leaders.ts';
import { Orderer } from '#ledger/orderer.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { seeded } from '#test/support/fake-link.ts';
import { seededNet } from '#test/support/seeded-actor.ts';
import { randomDag, reordered } from './random-dag.ts';

/** Where an epoch ends and how the next begins: functions of the log, of nothing else. */

const { chain, validators } = seededNet(4, 0, 'epoch rules');
const { committee } = chain;
const genesis: readonly DagBlock[] = committee.validators.map((_, author) => ({
  round: 0,
  author,
  id: genesisBlockId(chain.id, committee, author),
  parents: [],
  ts_ms: CREATED_MS,
  hasPayload: false,
}));

/**
 * Several slots are often decided in one run of the rule: what is decidable beyond the last commit
 * must not be decided (Sui 18206 dropped what it should not have at such a boundary).
 */
test('the last commit of an epoch is the same whatever came first and how often', (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const shape = { n: 4, rounds: 25, equivocators: 1, away: 0.15, narrow: 0.4 };
    const blocks = randomDag(shape, seeded(seed), genesis);
    const activating = blocks[40 + seed]?.id ?? '';
    const endOf = (order: readonly DagBlock[], every: number): string => {
      const orderer = new Orderer(chain.id, committee, CREATED_MS);
      const commits: string[] = [];
      const run = () => {
        const { commits: made } = orderer.advance((commit) =>
          commit.blocks.some(({ id }) => id === activating),
        );
        commits.push(...made.map(({ id }) => id));
      };
      for (const [i, block] of order.entries()) {
        orderer.accept(block);
        if (i % every === 0) run();
      }
      run();
      t.deepEqual(orderer.state.last.id, commits.at(-1) ?? chain.id);
      const { state } = orderer;
      run();
      t.deepEqual(orderer.state, state, 'nothing after the end');
      return `${orderer.isEnded} ${commits.join()}`;
    };
    const found = new Set([
      endOf(blocks, 1),
      endOf(blocks, 1000),
      endOf(reordered(blocks, seeded(seed + 99)), 1 + (seed % 9)),
      endOf(reordered(blocks, seeded(seed + 7)), 1000),
    ]);
    t.is(found.size, 1, `seed ${seed}`);
  }
});

test('a restarted orderer of an ended epoch decides nothing more', (t) => {
  const shape = { n: 4, rounds: 12, equivocators: 0, away: 0, narrow: 0 };
  const blocks = randomDag(shape, seeded(1), genesis);
  const first = new Orderer(chain.id, committee, CREATED_MS);
  for (const block of blocks) first.accept(block);
  const { commits } = first.advance(({ index }) => index === 3);
  t.is(commits.length, 3);
  const again = new Orderer(chain.id, committee, CREATED_MS, first.state);
  again.end();
  for (const block of blocks) again.accept(block);
  t.deepEqual(again.advance().commits, []);
});

test('the blocks at round 0 bind epoch, committee and the certified end before', (t) => {
  const base = 'ab'.repeat(32);
  const next = new Committee(1, committee.validators, base);
  const ids = [
    genesisBlockId(chain.id, committee, 0),
    genesisBlockId(chain.id, next, 0),
    genesisBlockId(chain.id, next, 1),
    genesisBlockId(chain.id, new Committee(2, committee.validators, base), 0),
    genesisBlockId(chain.id, new Committee(1, committee.validators.slice(1), base), 0),
    genesisBlockId(chain.id, new Committee(1, committee.validators, 'cd'.repeat(32)), 0),
    genesisBlockId('ef'.repeat(32), next, 0),
  ];
  t.is(new Set(ids).size, ids.length);
  t.is(next.id, committee.id, 'the same seats have one id');
});

test('leaders take turns in another order in each epoch', (t) => {
  const { chain: seven } = seededNet(7, 0, 'epoch rules');
  const orders = Array.from({ length: 8 }, (_, epoch) => {
    const leaderOf = leaderSchedule(seven.id, new Committee(epoch, seven.committee.validators));
    const order = Array.from({ length: 7 }, (__, round) => leaderOf(round));
    t.is(new Set(order).size, 7);
    return order.join();
  });
  t.true(new Set(orders).size >= 7);
});

/** Validity is a function of the block and its committee, never of the present one. */
test('a block is judged by the committee of its own epoch', async (t) => {
  const next = new Committee(1, committee.validators.slice(0, 3), '12'.repeat(32));
  const parents = (of: Committee) =>
    of.validators.map((_, author) => ({
      round: 0,
      author,
      id: genesisBlockId(chain.id, of, author),
    }));
  const seal = async (of: Committee, refs = parents(of)) => {
    const { id, epoch } = of;
    const draft = {
      chain: chain.id, epoch, committee: id, round: 1, author: 0, ts_ms: 1, parents: refs,
    };
    const signer = validators[0]?.signer;
    if (!signer) throw new Error('no validator');
    return encodeBlock(await sealBlock(draft, [], [], signer));
  };
  const both = {
    ofEpoch: (epoch: number) => (epoch === 0 ? committee : epoch === 1 ? next : undefined),
  };
  const codeIn = (bytes: Uint8Array): string => {
    try {
      return `epoch ${decodeBlock(bytes, chain.id, both).header.epoch}`;
    } catch (error) {
      return codeOf(error);
    }
  };
  t.is(codeIn(await seal(committee)), 'epoch 0');
  t.is(codeIn(await seal(next)), 'epoch 1');
  t.is(codeIn(await seal(new Committee(2, next.validators, next.base))), 'foreign_committee');
  t.is(codeIn(await seal(new Committee(1, committee.validators, next.base))), 'foreign_committee');
  const other = new Committee(1, next.validators, '34'.repeat(32));
  t.is(codeIn(await seal(other)), 'bad_parents', 'built on another end of the epoch before');
  t.is(codeIn(await seal(next, parents(committee).slice(0, 3))), 'bad_parents');
});
