import test from 'ava';
import { encode } from '#ledger/codec.ts';
import { encodeRef } from '#ledger/header.ts';
import { epochOfBlockKey, epochRange, refOfBlockKey, storeKeys } from '#ledger/keys.ts';
import { decodeOwnLast, encodeOwnLast } from '#ledger/own-last.ts';

/** The store's keys over epochs: those of epoch 0 are as they were before there were others. */

const id = 'ab'.repeat(32);
const ref = { round: 0x12, author: 3, id };

test('blocks of epoch 0 keep their keys; later epochs sort after them, one by one', (t) => {
  t.is(storeKeys.block(ref), `b/00000012/0003/${id}`);
  t.is(storeKeys.block(ref, 0), storeKeys.block(ref));
  const last = { round: 2 ** 31 - 1, author: 0xffff, id: 'ff'.repeat(32) };
  const first = { round: 1, author: 0, id: '00'.repeat(32) };
  const epochs = [0, 1, 2, 255, 65_536];
  const refs = [first, ref, last];
  const keys = epochs.flatMap((epoch) => refs.map((one) => storeKeys.block(one, epoch)));
  t.deepEqual(keys.toSorted(), keys);
  for (const epoch of epochs) {
    const { gte, lt } = epochRange(epoch);
    const inside = keys.filter((key) => key >= gte && key < lt);
    t.deepEqual(inside.map(epochOfBlockKey), [epoch, epoch, epoch]);
    t.deepEqual(inside.map(refOfBlockKey), [first, ref, last]);
    const from = epochRange(epoch, ref.round);
    t.is(keys.filter((key) => key >= from.gte && key < from.lt).length, 2);
  }
});

test('the last own block of epoch 0 is written as it was before', (t) => {
  t.deepEqual(encodeOwnLast({ epoch: 0, ref }), encode(encodeRef(ref)));
  for (const epoch of [0, 1, 9]) {
    t.deepEqual(decodeOwnLast(encodeOwnLast({ epoch, ref })), { epoch, ref });
  }
});
