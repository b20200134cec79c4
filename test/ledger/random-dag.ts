import type { DagBlock } from '#ledger/dag.ts';
import { idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';

export interface DagShape {
  readonly n: number;
  readonly rounds: number;
  /** Authors that sign two blocks for one slot now and then; at most f of them. */
  readonly equivocators: number;
  /** Chance that an author has no block in a round. */
  readonly away: number;
  /** Chance that a parent beyond the quorum is left out. */
  readonly narrow: number;
}

const text = new TextEncoder();

/**
 * A random DAG of valid blocks in the order of their rounds: the own block first, one parent of
 * each author, a quorum one round back. `genesis` are the blocks at round 0.
 */
export function randomDag(
  shape: DagShape,
  random: () => number,
  genesis: readonly DagBlock[] = genesisBlocks(shape.n),
): DagBlock[] {
  const { n, rounds } = shape;
  const quorum = n - Math.floor((n - 1) / 3);
  const blocks: DagBlock[] = [];
  const last = new Map(genesis.map((block) => [block.author, [block]]));
  let below = genesis.map((block) => [block]);
  for (let round = 1; round <= rounds; round++) {
    const present = pickAuthors(n, quorum, shape.away, random);
    const made: DagBlock[][] = [];
    for (const author of present) {
      const count = author < shape.equivocators && random() < 0.6 ? 2 : 1;
      const twins = Array.from({ length: count }, (_, twin) => {
        const parents = parentsOf(author, last, below, quorum, shape.narrow, random);
        const id = idOf(text.encode(`${round}/${author}/${twin}/${random()}`));
        return {
          round,
          author,
          id,
          parents,
          ts_ms: 1000 * round + Math.floor(random() * 900),
          hasPayload: random() < 0.5,
        };
      });
      made.push(twins);
      blocks.push(...twins);
    }
    for (const twins of made) last.set((twins[0] as DagBlock).author, twins);
    below = made;
  }
  return blocks;
}

export function genesisBlocks(n: number): DagBlock[] {
  return Array.from({ length: n }, (_, author) => ({
    round: 0,
    author,
    id: idOf(text.encode(`genesis ${author}`)),
    parents: [],
    ts_ms: 0,
    hasPayload: false,
  }));
}

function pickAuthors(n: number, quorum: number, away: number, random: () => number): number[] {
  const all = shuffled(Array.from({ length: n }, (_, author) => author), random);
  const kept = all.filter((_, i) => i < quorum || random() >= away);
  return kept.toSorted((a, b) => a - b);
}

function parentsOf(
  author: number,
  last: ReadonlyMap<number, readonly DagBlock[]>,
  below: readonly (readonly DagBlock[])[],
  quorum: number,
  narrow: number,
  random: () => number,
): DagBlock['parents'] {
  const one = (twins: readonly DagBlock[]): DagBlock =>
    twins[Math.floor(random() * twins.length)] as DagBlock;
  const own = one(last.get(author) as readonly DagBlock[]);
  const [[lowest] = []] = below;
  const round = lowest?.round ?? 0;
  const others = shuffled(below.filter(([first]) => first?.author !== author), random);
  const parents = [own];
  let count = own.round === round ? 1 : 0;
  for (const twins of others) {
    if (count >= quorum && random() < narrow) continue;
    parents.push(one(twins));
    count += 1;
  }
  for (const [by, twins] of last) {
    const isThere = parents.some((parent) => parent.author === by);
    if (!isThere && (twins[0]?.round ?? 0) < round && random() < 0.3) parents.push(one(twins));
  }
  return parents.map(({ round: r, author: by, id }) => ({ round: r, author: by, id }));
}

export function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((item) => ({ item, key: random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

/** The blocks in another order in which parents still come before children. */
export function reordered(blocks: readonly DagBlock[], random: () => number): DagBlock[] {
  const rest = new Set(shuffled(blocks, random));
  const held = new Set<Id>();
  const known = new Set(blocks.map(({ id }) => id));
  const out: DagBlock[] = [];
  while (rest.size > 0) {
    for (const block of rest) {
      if (!block.parents.every(({ id }) => held.has(id) || !known.has(id))) continue;
      rest.delete(block);
      held.add(block.id);
      out.push(block);
    }
  }
  return out;
}

/** A random part of the DAG that holds the parents of all that it holds. */
export function closedView(blocks: readonly DagBlock[], random: () => number): DagBlock[] {
  const byId = new Map(blocks.map((block) => [block.id, block]));
  const top = blocks.reduce((most, { round }) => Math.max(most, round), 0);
  const least = Math.floor(random() * top);
  const held = new Set<Id>();
  const queue = blocks.filter(({ round }) => round >= least && random() < 0.4);
  for (let block = queue.pop(); block; block = queue.pop()) {
    if (held.has(block.id)) continue;
    held.add(block.id);
    queue.push(...block.parents.flatMap(({ id }) => byId.get(id) ?? []));
  }
  return blocks.filter(({ id }) => held.has(id));
}
