import test from 'ava';
import { schema } from '#projections/index.ts';
import { decodeNumber, prefixRange } from '#ledger/keys.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { HandFold, ada, bob, put } from './fold-support.ts';

/** Ids are remembered for a number of final events: with or without older rows, one state. */

const remembered = 8;

async function filled(): Promise<HandFold> {
  const hand = new HandFold(new MemoryStore(), undefined, { ...schema, remembered });
  for (let seq = 1; seq <= 20; seq++) hand.apply([[put(ada, seq, `k${seq}`)]]);
  await hand.write();
  return hand;
}

/** The same without the rows of events that are forgotten, as after pruning. */
async function pruned({ store, commit }: HandFold): Promise<HandFold> {
  const rows = new MemoryStore(store.rows);
  for await (const [key, value] of rows.range(prefixRange('e/'))) {
    if (decodeNumber(value) <= 20 - remembered) await rows.write([{ type: 'del', key }]);
  }
  return new HandFold(rows, commit, { ...schema, remembered });
}

test('a repetition gets nothing while remembered, and a number without effect later', async (t) => {
  for (const hand of [await filled(), await pruned(await filled())]) {
    t.deepEqual(hand.verdicts([put(ada, 13, 'k13')]), []);
    t.deepEqual(hand.verdicts([put(ada, 12, 'k12')]), ['replayed']);
    t.deepEqual(hand.verdicts([put(ada, 12, 'k12')]), [], 'its later number is remembered');
    t.is(hand.fold.size, 21);
  }
});

test('a dependency counts while it is remembered', async (t) => {
  for (const hand of [await filled(), await pruned(await filled())]) {
    const on = (seq: number, dep: number) => {
      return put(bob, seq, 'b', { deps: [put(ada, dep, `k${dep}`).id] });
    };
    t.deepEqual(hand.verdicts([on(1, 20), on(2, 14), on(3, 14)]), [
      'applied',
      'applied',
      'dep_missing',
    ]);
  }
});

test('a fold that holds no older rows goes on to the same state as one that does', async (t) => {
  const whole = await filled();
  const part = await pruned(whole);
  for (const hand of [whole, part]) {
    for (let seq = 1; seq <= 30; seq++) {
      const old = put(ada, 1 + (seq % 19), `k${1 + (seq % 19)}`);
      hand.apply([[old, put(bob, seq, 'x', { deps: [put(ada, seq % 21, `k${seq % 21}`).id] })]]);
    }
  }
  t.deepEqual(part.fold.summary(), whole.fold.summary());
  t.true(whole.fold.size > 60);
});
