import test from 'ava';
import { RankedTries } from '#node/ranked-tries.ts';

const order = () => ['a', 'b', 'c'];

test('the first speaks at once, each next a fallback later', (t) => {
  for (const [self, due_ms] of [['a', 0], ['b', 100], ['c', 200]] as const) {
    const tries = new RankedTries(100);
    const at = (now_ms: number) => tries.isDue('x', self, order, 3, now_ms);
    t.is(at(0), due_ms === 0, self);
    if (due_ms > 0) t.false(at(due_ms - 1), self);
    t.is(at(due_ms), due_ms > 0, self);
  }
});

test('tries come after twice the pause each, and end', (t) => {
  const tries = new RankedTries(100);
  const times: number[] = [];
  for (let now_ms = 0; now_ms < 200_000; now_ms += 100) {
    if (tries.isDue('x', 'a', order, 3, now_ms)) times.push(now_ms);
  }
  t.deepEqual(times, [0, 600, 1800, 4200, 9000, 18_600]);
  t.true(tries.isDue('y', 'a', order, 3, 200_000), 'another thing has tries of its own');
});

test('what is not to be done any more is forgotten', (t) => {
  const tries = new RankedTries(100);
  for (const name of ['x', 'y']) t.true(tries.isDue(name, 'a', order, 3, 0));
  tries.keep(new Set(['y']));
  t.true(tries.isDue('x', 'a', order, 3, 1));
  t.false(tries.isDue('y', 'a', order, 3, 1));
});
