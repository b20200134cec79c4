import test from 'ava';
import { TokenBuckets } from '#ledger/token-buckets.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';

/** A full table gives nobody a fresh bucket. */

const RATE = { perSecond: 1, burst: 3 };

function takeAll(buckets: TokenBuckets, party: string): number {
  let taken = 0;
  while (taken < 100 && buckets.take(party)) taken += 1;
  return taken;
}

test('who is pushed out by others gets no fresh bucket when it returns', async (t) => {
  const clock = new VirtualClock(Date.UTC(2030, 0, 1));
  const buckets = new TokenBuckets(RATE, clock, 8);
  const parties = Array.from({ length: 24 }, (_, i) => `${i}`);
  let taken = 0;
  for (let round = 0; round < 10; round++) {
    for (const party of parties) if (buckets.take(party)) taken += 1;
  }
  t.is(taken, 9 * RATE.burst, 'eight buckets, and one for all others');
  t.is(buckets.size, 8);
  t.false(buckets.has('23'));
  t.true(buckets.wait_s('23') >= 1);
  // full again: as good as forgotten
  await clock.run(3000);
  t.true(buckets.has('23'));
  t.is(takeAll(buckets, '23'), RATE.burst);
  t.is(takeAll(buckets, '22'), RATE.burst);
  t.is(buckets.size, 8);
});

test('one network of 48 bits with ever other parts takes nothing from another', (t) => {
  const clock = new VirtualClock(Date.UTC(2030, 0, 1));
  const buckets = new TokenBuckets(RATE, clock, 2048);
  for (let i = 0; i < 2048; i++) buckets.take(`2001:db8:0:${i.toString(16)}`);
  t.is(takeAll(buckets, '2001:db8:0:aaaa'), RATE.burst);
  t.is(takeAll(buckets, '2001:db8:0:bbbb'), 0, 'the same group');
  t.is(takeAll(buckets, '2001:db8:1:0'), RATE.burst);
  t.is(takeAll(buckets, '192.0.2.7'), RATE.burst);
  t.is(takeAll(buckets, '192.0.2.8'), 0);
  t.is(takeAll(buckets, '198.51.100.8'), RATE.burst);
});
