import test from 'ava';
import type { Block } from '#ledger/block.ts';
import type { Ref } from '#ledger/header.ts';
import { idOf } from '#ledger/ids.ts';
import { WaitingBlocks } from '#ledger/waiting.ts';

/** Blocks that wait for parents: chains, bounds and the horizon. */

const ref = (round: number, author: number, mark = ''): Ref => ({
  round,
  author,
  id: idOf(new TextEncoder().encode(`${round}/${author}/${mark}`)),
});
/** As much of a block as waiting looks at. */
const blockOf = (own: Ref, parents: readonly Ref[] = []): Block =>
  ({ ref: own, header: { ...own, parents } }) as unknown as Block;
const idsOf = (blocks: readonly Block[]): string[] => blocks.map((one) => one.ref.id);

test('a block is ready when the last of its missing parents is there', (t) => {
  const waiting = new WaitingBlocks();
  const [a, b, child] = [ref(1, 0), ref(1, 1), ref(2, 0)];
  waiting.add(blockOf(child), [a, b]);
  t.true(waiting.has(child.id));
  t.deepEqual([waiting.isWanted(a.id), waiting.isWanted(child.id)], [true, false]);
  t.deepEqual(waiting.resolved(a.id), []);
  t.false(waiting.isWanted(a.id));
  t.deepEqual(idsOf(waiting.resolved(b.id)), [child.id]);
  t.is(waiting.size, 0);
  t.deepEqual(waiting.resolved(b.id), []);
});

test('what waits itself is not asked for; the ends of chains are', (t) => {
  const waiting = new WaitingBlocks();
  const chain = [1, 2, 3, 4].map((round) => ref(round, 0));
  for (let i = 3; i > 0; i--) waiting.add(blockOf(chain[i] as Ref), [chain[i - 1] as Ref]);
  t.deepEqual([...waiting.wanted()], [chain[0]]);
  for (let i = 0; i < 3; i++) {
    t.deepEqual(idsOf(waiting.resolved((chain[i] as Ref).id)), [(chain[i + 1] as Ref).id]);
  }
  t.deepEqual([waiting.size, [...waiting.wanted()].length], [0, 0]);
});

test('authors that wait for a block count once each', (t) => {
  const waiting = new WaitingBlocks();
  const parent = ref(1, 3);
  waiting.add(blockOf(ref(2, 0)), [parent]);
  waiting.add(blockOf(ref(3, 0)), [parent]);
  t.is(waiting.authorsWanting(parent.id).size, 1);
  waiting.add(blockOf(ref(2, 1)), [parent]);
  t.is(waiting.authorsWanting(parent.id).size, 2);
  t.is(waiting.authorsWanting(ref(9, 9).id).size, 0);
});

test("one author's nonsense fills its own share: the lowest rounds stay", (t) => {
  const waiting = new WaitingBlocks();
  const honest = ref(7, 1);
  waiting.add(blockOf(honest), [ref(6, 1)]);
  for (let i = 0; i < 400; i++) {
    const own = ref(1000 - i, 0);
    waiting.add(blockOf(own), [ref(1000 - i, 0, 'parent')]);
    t.true(waiting.size <= 257);
  }
  t.true(waiting.has(honest.id));
  t.true(waiting.has(ref(601, 0).id));
  t.false(waiting.has(ref(1000, 0).id));
  waiting.add(blockOf(ref(5000, 0)), [ref(4999, 0)]);
  t.false(waiting.has(ref(5000, 0).id), 'a higher one is not taken');
  t.false(waiting.isWanted(ref(4999, 0).id));
  t.is([...waiting.wanted()].length, 257, 'parents of dropped blocks are not asked for');
});

test('a block comes once', (t) => {
  const waiting = new WaitingBlocks();
  waiting.add(blockOf(ref(2, 0)), [ref(1, 0)]);
  waiting.add(blockOf(ref(2, 0)), [ref(1, 1)]);
  t.is(waiting.size, 1);
  t.false(waiting.isWanted(ref(1, 1).id));
});

test('the horizon drops what is below it and frees what waited for it only', (t) => {
  const waiting = new WaitingBlocks();
  const [low, mid, high] = [ref(3, 0), ref(5, 1), ref(6, 2)];
  waiting.add(blockOf(low), [ref(2, 0)]);
  waiting.add(blockOf(mid), [low]);
  waiting.add(blockOf(high), [ref(4, 3), low]);
  t.deepEqual(idsOf(waiting.horizon(3)), [mid.id]);
  t.false(waiting.has(low.id));
  t.true(waiting.has(high.id));
  t.deepEqual(idsOf(waiting.horizon(4)), [high.id]);
  t.deepEqual([waiting.size, [...waiting.wanted()].length], [0, 0]);
});
