import { existsSync, readFileSync } from 'node:fs';
import { runCase } from './cases.ts';
import type { CaseFile } from './cases.ts';

/**
 * `npm run conformance -- FILE`: feeds the DAGs of a case file to the commit rule and the
 * lineariser, prints one JSON line per case, and exits with 1 when an expectation is not met,
 * with 2 where there is no such file.
 */
const [file] = process.argv.slice(2);
if (!file) {
  console.error('usage: npm run conformance -- FILE.json');
  process.exit(2);
}
if (!existsSync(file)) {
  console.error(`there is no case file at ${file}`);
  process.exit(2);
}
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as CaseFile;
let failed = 0;
for (const testCase of cases) {
  const { id, ok, steps, failures } = runCase(testCase);
  console.log(JSON.stringify({ id, ok, steps }));
  for (const failure of failures) console.error(failure);
  if (!ok) failed += 1;
}
console.error(`${cases.length - failed} of ${cases.length} cases as expected`);
process.exit(failed > 0 ? 1 : 0);
