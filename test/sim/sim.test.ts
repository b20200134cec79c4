import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { play } from './run.ts';
import { scenarioOf } from './scenario.ts';
import { SEEDS } from './seeds.ts';

/** Fixed seeds with a word on each, some fresh ones, and that a seed is a run. */

for (const { seed, options, story } of SEEDS) {
  test(`seed ${seed}: ${story}`, async (t) => {
    // what came later does not change what these seeds are for, unless they ask for it
    const { verdict, findings } = await play(scenarioOf(seed, { lives: 'none', ...options }));
    t.is(verdict, 'pass', JSON.stringify(findings, undefined, 1));
  });
}

const FRESH = 8;
/** A day has its own seeds, so that a failure can be seen again. */
const first = Math.floor(Date.now() / 86_400_000) * 1000;

test(`fresh seeds from ${first} on: npm run sim -- --runs ${FRESH} --from ${first}`, async (t) => {
  for (let seed = first; seed < first + FRESH; seed++) {
    const { verdict, findings } = await play(scenarioOf(seed, { validators: 4, isReal: false }));
    t.is(verdict, 'pass', `--seed ${seed} --n 4 --no-real: ${JSON.stringify(findings)}`);
  }
});

test('one seed is one run: the same trace twice, and in another process', async (t) => {
  const scenario = scenarioOf(9);
  const [one, two] = [await play(scenario), await play(scenario)];
  t.is(one.trace, two.trace);
  t.not(one.trace, (await play(scenarioOf(7))).trace);
  const main = resolve(import.meta.dirname, 'main.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--seed', '9']);
  t.true(stdout.includes(`trace ${one.trace}`), stdout);
});
