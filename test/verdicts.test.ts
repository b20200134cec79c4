import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { VERDICTS } from '#ledger/verdicts.ts';

test('docs/verdicts.md has every verdict with its number, in order', (t) => {
  const text = readFileSync(join(import.meta.dirname, '..', 'docs', 'verdicts.md'), 'utf8');
  const found = text.matchAll(/^\| `(\w+)` \| (\d+) \|/gm);
  const rows = [...found].map(([, name, number]) => [name, Number(number)]);
  t.deepEqual(rows, Object.entries(VERDICTS));
});
