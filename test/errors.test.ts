import test from 'ava';
import {
  codesIn, differences, documentedCodes, readDocument, usedCodes,
} from '#test/tooling/error-codes.ts';

test('every error code has a row in docs/errors.md, and every row a code', (t) => {
  const used = usedCodes();
  t.true(used.length > 0);
  const found = differences(used, documentedCodes(readDocument()));
  t.is(found.length, 0, `\n${found.join('\n')}`);
});

test('the rows are sorted and no code has two', (t) => {
  const documented = documentedCodes(readDocument());
  t.deepEqual(documented, [...new Set(documented)].toSorted());
});

test('every code is snake_case', (t) => {
  const wrong = usedCodes().filter(({ code }) => !/^[a-z][a-z0-9_]*$/.test(code));
  t.deepEqual(wrong, []);
});

test('codes are found over line breaks and not in comments', (t) => {
  const text = "// fail('no')\nfail(\n  'one', 'x');\nnew X0tError('two', 'y');\nmyfail('three');";
  const found = codesIn('a.ts', text).map(({ code, line }) => [code, line]);
  t.deepEqual(found, [['one', 2], ['two', 4]]);
});

test('a missing and an unknown code are both reported', (t) => {
  const table = '| code | meaning | what to do |\n|---|---|---|\n| `b` | x | y |\n| `c` | x | |\n';
  const found = differences([{ code: 'a', file: 'p2p/a.ts', line: 3 }], documentedCodes(table));
  t.deepEqual(found, [
    'p2p/a.ts:3: add a row for `a` to docs/errors.md',
    'docs/errors.md: remove the row of `b`, which nothing throws',
  ]);
});
