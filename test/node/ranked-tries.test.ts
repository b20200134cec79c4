import test from 'ava';
import { RankedTries } from '#node/ranked-tries.ts';

const first = () => 0;

test('the first speaks at once, each next a fallback later', (t) => {
  for (const rank of [0, 1, 2]) {
    const tries = new RankedTries(100);
    const times: number[] = [];
    for (let now_ms = 0; now_ms < 500; now_ms += 10) {
      if (tries.isDue('x', () => rank, 3, now_ms)) times.push(now_ms);
    }
    t.deepEqual(times, [rank * 100]);
  }
});

test('tries come after twice the pause each, and end', (t) => {
  const tries = new RankedTries(100);
  const times: number[] = [];
  for (let now_ms = 0; now_ms < 200_000; now_ms += 100) {
    if (tries.isDue('x', first, 3, now_ms)) times.push(now_ms);
  }
  t.deepEqual(times, [0, 600, 1800, 4200, 9000, 18_600]);
  t.true(tries.isDue('y', first, 3, 200_000), 'another thing has tries of its own');
});

test('what is not to be done any more is forgotten', (t) => {
  const tries = new RankedTries(100);
  for (const name of ['x', 'y']) t.true(tries.isDue(name, first, 3, 0));
  tries.keep(new Set(['y']));
  t.true(tries.isDue('x', first, 3, 1));
  t.false(tries.isDue('y', first, 3, 1));
});
