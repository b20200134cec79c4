import test from 'ava';
import { Refold } from '#ledger/audit/refold.ts';
import type { RefoldBlock } from '#ledger/audit/refold.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import { compareRefs } from '#ledger/linearise.ts';
import { idOf } from '#ledger/ids.ts';
import { Orderer } from '#ledger/orderer.ts';
import type { Ref } from '#ledger/header.ts';
import { schema } from '#projections/index.ts';
import { codeOf } from '#ledger/errors.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';

/**
 * A validator was away and comes back with a block whose parent nobody else has. Once that lies
 * below the horizon the others take the block, and their logs hold it without its parent.
 */

const ROUNDS = 90;
const LATE_AT = 75;

const seats = Array.from({ length: 4 }, (_, i) => seededActor(`late ${i}`));
const { chain } = netOf(seats, [], 'late');
const live = new Orderer(chain.id, chain.committee, chain.genesis.created_ms);
const blocks: RefoldBlock[] = [];
const commits: string[] = [];

function seal(round: number, author: number, parents: readonly Ref[]): Ref {
  const ref = { round, author, id: idOf(new TextEncoder().encode(`${round}/${author}`)) };
  const ts_ms = chain.genesis.created_ms + round;
  live.accept({ ...ref, parents, ts_ms, hasPayload: false });
  const place = { kind: 'header', block: ref.id } as const;
  blocks.push({ ref, place, parents, ts_ms, hasPayload: false, entries: () => [] });
  return ref;
}

let below: Ref[] = [0, 1, 2, 3].map((author) => live.genesisRef(author));
let late: Ref | undefined;
for (let round = 1; round <= ROUNDS; round++) {
  const parents = below;
  below = [1, 2, 3].map((author) => seal(round, author, parents));
  commits.push(...live.advance().commits.map(({ id }) => id));
  if (round !== LATE_AT) continue;
  const { horizon } = live.dag;
  const hidden = { round: horizon, author: 0, id: 'f'.repeat(64) };
  const beside = blocks.map(({ ref }) => ref).filter((ref) => ref.round === horizon);
  late = seal(horizon + 1, 0, [hidden, ...beside]);
  below = [...below, late];
}
const inOrder = blocks.toSorted((a, b) => compareRefs(a.ref, b.ref));
const target = { index: commits.length, id: commits.at(-1) as string };
const reported = { commit: target } as Manifest;

function refolded(): { readonly refold: Refold; readonly seen: string[] } {
  const seen: string[] = [];
  const watcher = { commit: ({ id }: { id: string }) => seen.push(id), rows: () => undefined };
  return { refold: new Refold(chain, schema, target, watcher), seen };
}

test('a block whose parent was out of reach when it came is no fault of the log', (t) => {
  t.true((late?.round ?? 0) > 1);
  const { refold, seen } = refolded();
  for (const block of inOrder) refold.accept(block);
  refold.run();
  t.deepEqual(seen, commits);
});

test('a block that was taken out is found, at the lowest that lacks a parent', (t) => {
  for (const at of [4, 20, inOrder.length - 8]) {
    const { refold } = refolded();
    const gone = inOrder[at] as RefoldBlock;
    const error = t.throws(() => {
      for (const block of inOrder.toSpliced(at, 1)) refold.accept(block);
      refold.finish(reported);
    });
    t.is(codeOf(error), 'audit_missing_parent');
    const { block, parent } = (error as unknown as { data: Record<string, string> }).data;
    t.is(parent, gone.ref.id);
    t.is(inOrder.find(({ ref }) => ref.id === block)?.ref.round, gone.ref.round + 1);
  }
});
