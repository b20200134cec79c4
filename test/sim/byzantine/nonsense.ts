import { encodeBlock } from '#ledger/block.ts';
import type { Block } from '#ledger/block.ts';
import type { Ref } from '#ledger/header.ts';
import type { Habit } from './habits.ts';
import type { Treason } from './treason.ts';

/** Blocks that no honest node may accept, or that it has long had. */

function madeUpId(treason: Treason): string {
  return Array.from({ length: 32 }, () =>
    treason.random.below(256).toString(16).padStart(2, '0'),
  ).join('');
}

/** How the parents of a block can be wrong; the ids of some are made up, so nobody finds them. */
const WRONGS: readonly ((treason: Treason, parents: readonly Ref[]) => readonly Ref[])[] = [
  (_treason, parents) => parents.slice(0, 1),
  (_treason, parents) => parents.slice(1),
  (_treason, parents) => [...parents, ...parents.slice(-1)],
  (treason, parents) => parents.map((ref) => ({ ...ref, id: madeUpId(treason) })),
  (treason, parents) => [
    ...parents.slice(0, -1),
    ...parents.slice(-1).map((ref) => ({ ...ref, id: madeUpId(treason) })),
  ],
  (_treason, parents) => parents.map((ref) => ({ ...ref, round: ref.round + 1 })),
  (treason, parents) => parents.map((ref) => ({ ...ref, author: treason.author })),
];

/** Sends a last block of its own again, changed. */
async function again(
  treason: Treason,
  change: (block: Block) => Promise<Block>,
): Promise<void> {
  const block = treason.own.at(-1);
  if (block) treason.send(await change(block), treason.peers());
}

export const invalidParents: Habit = {
  tick: (treason) =>
    again(treason, (block) => {
      const draft = treason.draftOf(block);
      const parents = treason.random.pick(WRONGS)(treason, draft.parents);
      // a far round too: nothing may be allocated or asked for by what a header claims
      const round = draft.round + treason.random.pick([1, 1, 5, 1_000_000]);
      return treason.seal({ ...draft, round, parents }, []);
    }),
};

/**
 * Names as its previous block one that nobody has, in the newest round that need not be held: a
 * node that is a little behind the others still asks for it.
 */
export const madeUpPast: Habit = {
  draft(treason, draft) {
    const { committee, author, core } = treason;
    const { horizon } = core.replica.orderer.dag;
    const others = draft.parents.slice(1);
    const below = others.filter(({ round }) => round === draft.round - 1);
    const isQuorum = committee.stakeOf(below.map((parent) => parent.author)) >= committee.quorum;
    if (horizon < 1 || !isQuorum) return draft;
    return { ...draft, parents: [{ round: horizon, author, id: madeUpId(treason) }, ...others] };
  },
};

/** Old blocks again, and new ones for old slots. */
export const stale: Habit = {
  async tick(treason) {
    const old = treason.own[treason.random.below(Math.max(1, treason.own.length))];
    if (!old) return;
    treason.send(old, treason.peers());
    if (treason.random.chance(0.7)) return;
    const draft = treason.draftOf(old);
    treason.send(await treason.seal(draft, [treason.event('late twin')]), treason.peers());
  },
};

export const oversize: Habit = {
  tick: (treason) =>
    again(treason, async (block) => {
      const draft = { ...treason.draftOf(block), ts_ms: block.header.ts_ms + 7 };
      const count = treason.random.pick([1, 6, 600]);
      const value = 'x'.repeat(count === 600 ? 1 : 60_000);
      const entries = Array.from({ length: count }, () => treason.event(value));
      return treason.seal(draft, entries);
    }),
};

/** Own blocks, and others' with their signature spoilt: the good copy must still be taken. */
export const badSignatures: Habit = {
  async tick(treason) {
    const { dag } = treason.core.replica.orderer;
    const newest = dag.newest(treason.random.below(treason.committee.size));
    const own = treason.own.at(-1);
    if (own && (treason.random.chance(0.3) || !newest || newest.round === 0)) {
      treason.send({ ...own, sign1: spoilt(own.sign1) }, treason.peers());
      return;
    }
    const held = [...treason.core.replica.unordered];
    const other = held.length > 0 ? treason.random.pick(held) : undefined;
    if (!other) return;
    treason.network.tell(
      treason.peers(),
      'block',
      encodeBlock({ ...other, sign1: spoilt(other.sign1) }),
    );
  },
};

function spoilt(sign1: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(sign1);
  copy[100] = (copy[100] ?? 0) ^ 1;
  return copy;
}
