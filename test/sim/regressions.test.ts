import test from 'ava';
import { REGRESSIONS } from './regressions.ts';
import { play } from './run.ts';

/** Runs that once failed, each with its story. */

for (const { story, scenario } of REGRESSIONS) {
  test(story, async (t) => {
    const { verdict, findings, acknowledged, lost } = await play(scenario);
    t.is(verdict, 'pass', JSON.stringify(findings, undefined, 1));
    t.true(acknowledged > 0);
    t.is(lost, 0);
  });
}
