import { encode } from '#ledger/codec.ts';
import { encodeFrontier, encodePoolItems, encodeRangeFrame } from '#ledger/sync/messages.ts';
import { encodeBlock } from '#ledger/block.ts';
import type { Habit } from './habits.ts';
import type { Treason } from './treason.ts';

/** Answers to requests that are false in all ways: frontiers, ranges, blocks, events. */

function madeUp(treason: Treason): string {
  return treason.random.below(2 ** 31).toString(16).padStart(64, '0');
}

async function* frontier(treason: Treason): AsyncGenerator<Uint8Array> {
  const { core, committee, random } = treason;
  const round = core.replica.roundClock.round + random.pick([0, 1, 40, 100_000]);
  yield encodeFrontier({
    chain: core.chain.id,
    epoch: committee.epoch,
    newest: committee.validators.map((_, author) => ({ round, author, id: madeUp(treason) })),
    commit: core.replica.orderer.state.last.index + random.pick([0, 5, 1_000_000]),
    horizon: random.pick([-1, 0, round]),
    wall_ms: random.pick([0, 2 ** 45]),
    waiting: [madeUp(treason), madeUp(treason)],
    first: 1,
  });
  if (random.chance(0.3)) yield encode(['nonsense']);
}

async function* range(treason: Treason): AsyncGenerator<Uint8Array> {
  const { random } = treason;
  const own = [...treason.past, ...treason.own];
  const from = treason.core.replica.orderer.state.last.index;
  for (let i = 0; i < 3; i++) {
    const block = own[random.below(Math.max(1, own.length))];
    if (block) yield encodeRangeFrame({ block: encodeBlock(block) });
    yield encodeRangeFrame({ commit: Math.max(1, from + random.between(-2, 5)) });
  }
}

async function* blocks({ own, random }: Treason): AsyncGenerator<Uint8Array> {
  const block = own[random.below(Math.max(1, own.length))];
  if (block) yield encodeBlock(block);
  if (random.chance(0.2)) yield encode('not a block');
}

async function* events(treason: Treason): AsyncGenerator<Uint8Array> {
  const { bytes } = treason.event('unsigned');
  yield encodePoolItems([{ entry: bytes, coseKey: treason.who.coseKey }]);
}

export const falseSync: Habit = {
  answer(treason, protocol) {
    if (treason.random.chance(0.4)) return undefined;
    if (protocol === 'frontier') return frontier(treason);
    if (protocol === 'range') return range(treason);
    if (protocol === 'blocks') return blocks(treason);
    return protocol === 'events' ? events(treason) : undefined;
  },
};
