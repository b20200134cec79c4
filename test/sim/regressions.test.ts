import test from 'ava';
import { REGRESSIONS } from './regressions.ts';
import { play } from './run.ts';

/** Runs that once failed, each with its story. */

for (const { story, scenario, returned = 0, epochs, lives = {} } of REGRESSIONS) {
  test(story, async (t) => {
    const outcome = await play(scenario);
    const { verdict, findings, acknowledged, lost } = outcome;
    t.is(verdict, 'pass', JSON.stringify(findings, undefined, 1));
    t.true(acknowledged > 0);
    t.is(lost, 0);
    t.is(outcome.returned, returned);
    if (epochs !== undefined) t.is(outcome.epochs, epochs);
    for (const [kind, count] of Object.entries(lives)) {
      t.true((outcome.lives[kind] ?? 0) >= count, `${kind}: ${JSON.stringify(outcome.lives)}`);
    }
  });
}
