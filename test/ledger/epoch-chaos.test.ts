import test from 'ava';
import { epochChaos } from './epoch-chaos.ts';

/** Validators come and go on bad links, under load and over power cuts. */

for (const seed of [1, 2, 3]) {
  test(`one log and nothing lost while the committee changes (seed ${seed})`, async (t) => {
    t.timeout(300_000);
    t.deepEqual(await epochChaos(seed), []);
  });
}
