import test from 'ava';
import { Refold } from '#ledger/audit/refold.ts';
import type { RefoldBlock } from '#ledger/audit/refold.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import { signEvent } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Ref } from '#ledger/header.ts';
import { idOf } from '#ledger/ids.ts';
import { GC_DEPTH } from '#ledger/limits.ts';
import { compareRefs, gcRoundAfter } from '#ledger/linearise.ts';
import { Orderer } from '#ledger/orderer.ts';
import { schema } from '#projections/index.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';

/**
 * A node starts again where an epoch has ended: the parents that are out of its reach then are more
 * than the last commit of the epoch left out of reach for the others.
 */

const END_ROUND = 70;
const ROUNDS = 76;

const seats = Array.from({ length: 4 }, (_, i) => seededActor(`end ${i}`));
const operator = seededActor('end operator');
const { chain } = netOf(seats, [operator], 'end');
const created_ms = chain.genesis.created_ms;
const change = await signEvent(
  {
    chain: chain.id,
    actor: operator.actor,
    lane: 0,
    seq: 1,
    kind: 'committee.change/1',
    body: { remove: [Uint8Array.fromHex((seats[3] as { actor: string }).actor)] },
    hlc: [created_ms, 0],
  },
  operator.signer,
);

const live = new Orderer(chain.id, chain.committee, created_ms);
const blocks: RefoldBlock[] = [];
let last: Manifest['commit'] = { index: 0, id: chain.id };

function made(round: number, author: number, parents: readonly Ref[]): RefoldBlock {
  const id = idOf(new TextEncoder().encode(`${round}/${author}`));
  const entries: readonly Entry[] = round === END_ROUND && author === 0 ? [change] : [];
  return {
    ref: { round, author, id },
    place: { kind: 'header', block: id },
    parents,
    ts_ms: created_ms + round,
    hasPayload: entries.length > 0,
    entries: () => entries,
  };
}

let below: Ref[] = [0, 1, 2, 3].map((author) => live.genesisRef(author));
let ender = '';
for (let round = 1; round <= ROUNDS; round++) {
  const parents = below;
  below = [0, 1, 2].map((author) => {
    const block = made(round, author, parents);
    live.accept({ ...block, ...block.ref });
    blocks.push(block);
    if (block.hasPayload) ender = block.ref.id;
    return block.ref;
  });
  const isLast = ({ blocks: ordered }: { blocks: readonly Ref[] }): boolean =>
    ordered.some(({ id }) => id === ender);
  for (const { index, id } of live.advance(isLast).commits) last = { index, id };
}
const horizon = gcRoundAfter(live.state.last.leaderRound, GC_DEPTH);

/**
 * The blocks with some of the validator that was away, one on the other; the parent of the first
 * lies in the round.
 */
function withLate(round: number, count = 1): RefoldBlock[] {
  const hidden: Ref = { round, author: 3, id: 'f'.repeat(64) };
  const beside = blocks.map(({ ref }) => ref).filter((ref) => ref.round === round);
  const late = [made(round + 1, 3, [hidden, ...beside])];
  while (late.length < count) {
    const [newest] = late.slice(-1) as [RefoldBlock];
    late.push(made(newest.ref.round + 1, 3, [newest.ref]));
  }
  return [...blocks, ...late].toSorted((a, b) => compareRefs(a.ref, b.ref));
}

function refold(of: readonly RefoldBlock[]): Refold {
  const refolded = new Refold(chain, schema, last);
  for (const block of of) refolded.accept(block);
  return refolded;
}

test('at the end of an epoch a parent may be out of reach of a node that started there', (t) => {
  t.true(live.isEnded);
  t.true(horizon > live.dag.horizon, 'the last commit left the horizon where it was');
  t.is(refold(withLate(horizon)).nextEpoch().epoch, 1);
});

test('so may that of a block that others stand on', (t) => {
  t.is(refold(withLate(horizon, 3)).nextEpoch().epoch, 1);
});

test('a parent above that is missing there, too', (t) => {
  const error = t.throws(() => refold(withLate(horizon + 1)).nextEpoch());
  t.is(codeOf(error), 'audit_missing_parent');
});
