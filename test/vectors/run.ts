/**
 * Runs Project Wycheproof's ML-DSA-65 vectors over both engines: `npm run test:vectors -- DIR`,
 * where DIR holds `wycheproof/`. Prints what passed, failed and was skipped with the reason. Exit
 * code 1 on a failure, 2 where a folder that was given is not there; without DIR and folder it says
 * so and exits with 0.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Tally, runSignFile, runVerifyFile } from './mldsa.ts';

const dir = process.argv[2] ?? '.';
const folder = join(dir, 'wycheproof');
if (existsSync(folder)) {
  process.exitCode = (await run()) ? 0 : 1;
} else {
  const isGiven = process.argv[2] !== undefined;
  console.log(`${isGiven ? 'there are' : 'skipped:'} no vectors at ${folder}`);
  if (isGiven) process.exitCode = 2;
}

async function read(name: string) {
  return JSON.parse(await readFile(join(folder, name), 'utf8'));
}

async function run(): Promise<boolean> {
  const tallies: Tally[] = [
    ...(await runVerifyFile('mldsa_65_verify_test.json', await read('mldsa_65_verify_test.json'))),
    ...(await runSignFile(
      'mldsa_65_sign_seed_test.json',
      await read('mldsa_65_sign_seed_test.json'),
    )),
  ];
  console.log(row('engine', 'file: check', 'passed', 'failed', 'skipped'));
  for (const { engine, check, passed, failures, skipped } of tallies) {
    const skippedCount = [...skipped.values()].reduce((sum, count) => sum + count, 0);
    console.log(row(engine, check, passed, failures.length, skippedCount));
    for (const [reason, count] of skipped) console.log(`    skipped ${count}: ${reason}`);
    for (const failure of failures) console.log(`    FAILED ${failure}`);
  }
  console.log('not run: mlkem_768_test.json (ML-KEM-768 is not used yet)');
  const total = (count: (tally: Tally) => number) =>
    tallies.reduce((sum, tally) => sum + count(tally), 0);
  const passed = total((tally) => tally.passed);
  const failed = total((tally) => tally.failures.length);
  const skipped = total((tally) =>
    [...tally.skipped.values()].reduce((sum, count) => sum + count, 0),
  );
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 && passed > 0;
}

function row(engine: string, check: string, ...counts: (string | number)[]): string {
  const columns = counts.map((count) => String(count).padStart(8));
  return `${engine.padEnd(24)} ${check.padEnd(54)}${columns.join('')}`;
}
