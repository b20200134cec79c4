import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { hunt, mutantsOf } from '#test/sim/mutants/hunt.ts';
import { MUTANTS } from '#test/sim/mutants/table.ts';

/** The deliberate bugs fit the code as it is; `npm run sim -- --mutants` looks for all of them. */

const ROOT = resolve(import.meta.dirname, '../..');

for (const { name, edits } of MUTANTS) {
  test(`mutant ${name}: what it replaces stands once`, (t) => {
    for (const { file, find, replace } of edits) {
      t.is(readFileSync(join(ROOT, file), 'utf8').split(find).length, 2, find);
      t.not(find, replace);
    }
  });
}

test('a copy that orders blocks as they arrive is found out', async (t) => {
  const [mutant] = mutantsOf(['arrival']);
  if (!mutant) throw new Error('no mutant');
  const { checker } = await hunt(mutant, ROOT, 1, 1, { validators: 4, traitors: 'none' });
  // the logs differ, and so do the checkpoints of them
  t.true(['diverged', 'checkpoints'].includes(checker ?? ''), checker);
});
