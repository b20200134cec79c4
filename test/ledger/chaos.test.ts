import test from 'ava';
import { chaos } from './chaos.ts';

/** Cuts, loss and power cuts at random, then healing: safety always, liveness in the end. */

for (const seed of [1, 2, 3, 4]) {
  test(`seed ${seed}: nothing acknowledged is lost, nothing is doubled, all agree`, async (t) => {
    const { events, commits, broken } = await chaos(seed);
    t.true(events > 10 && commits > 3, `${events} events, ${commits} commits`);
    t.deepEqual(broken, []);
  });
}
