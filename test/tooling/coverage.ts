/**
 * `npm run coverage [-- ava's options]`: all tests once with counting, then nyc's table and
 * threshold. Ends with 1 when a test failed or fewer lines ran than `.nycrc.json` asks for.
 * `HACKING.md` says how it works.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { addCounts } from './coverage-counts.ts';
import type { Counts, Coverage } from './coverage-counts.ts';
import { ROOT, measuredFiles } from './coverage-scope.ts';
import { emptyCoverage } from './instrument.ts';

const OUTPUT = join(ROOT, '.nyc_output');

function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const path = join(ROOT, 'node_modules', script);
  const options = { cwd: ROOT, env, stdio: 'inherit' } as const;
  return spawnSync(process.execPath, [path, ...args], options).status === 0;
}

/** Sums what all threads counted, for nyc. Files that no test loads count as never run. */
function writeTotal(): void {
  const empty = measuredFiles().map((path) => [path, emptyCoverage(path)] as const);
  const total: Coverage = Object.fromEntries(empty);
  for (const name of readdirSync(OUTPUT)) {
    const path = join(OUTPUT, name);
    // a part was being written when its process was killed
    if (name.endsWith('.json')) {
      addCounts(total, JSON.parse(readFileSync(path, 'utf8')) as Record<string, Counts>);
    }
    rmSync(path);
  }
  writeFileSync(join(OUTPUT, 'total.json'), JSON.stringify(total));
}

rmSync(OUTPUT, { recursive: true, force: true });
mkdirSync(OUTPUT, { recursive: true });
const preload = pathToFileURL(join(import.meta.dirname, 'coverage-preload.js')).href;
const passed = run('ava/entrypoints/cli.js', process.argv.slice(2), {
  ...process.env,
  NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import=${preload}`.trim(),
  X0T_COVERAGE_DIR: OUTPUT,
});
writeTotal();
const covered = run('nyc/bin/nyc.js', ['report', '--check-coverage'], process.env);
process.exitCode = passed && covered ? 0 : 1;
