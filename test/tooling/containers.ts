/**
 * `npm run test:containers [-- ava's options]`: the tests on a container engine. One that answers
 * is taken; else `deploy/engine` starts one for the time of the tests, or it says why it cannot, as
 * a skipped test that is counted.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const ENGINE = join(ROOT, 'deploy', 'engine');

const reason = spawnSync(ENGINE, ['reason'], { encoding: 'utf8' });
if (reason.status === 0) {
  const ava = join(ROOT, 'node_modules', 'ava', 'entrypoints', 'cli.js');
  const config = join('test', 'tooling', 'ava.containers.config.js');
  const args = [process.execPath, ava, '--config', config, ...process.argv.slice(2)];
  process.exitCode =
    spawnSync(ENGINE, ['run', ...args], { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
} else {
  console.log(`ok 1 - containers # SKIP ${reason.stdout.trim() || reason.stderr.trim()}`);
}
