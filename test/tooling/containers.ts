/**
 * `npm run test:containers [-- ava's options]`: the tests on a container engine. One that answers
 * is taken; else `deploy/engine` starts one for the time of the tests, or it says why it cannot, as
 * a skipped test that is counted.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const ENGINE = join(ROOT, 'deploy', 'engine');

/** Devices, mounts and folders that an engine makes. */
function leftovers(): string[] {
  if (process.platform !== 'linux') return [];
  const devices = readdirSync('/sys/class/net').filter((name) => /^(?:docker|br-|veth)/.test(name));
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const ours = mounts.filter((line) => line.includes('x0t-engine.'));
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith('x0t-engine.'));
  return [...devices, ...ours, ...folders];
}

const reason = spawnSync(ENGINE, ['reason'], { encoding: 'utf8' });
if (reason.status === 0) {
  const ava = join(ROOT, 'node_modules', 'ava', 'entrypoints', 'cli.js');
  const config = join('test', 'tooling', 'ava.containers.config.js');
  const args = [process.execPath, ava, '--config', config, ...process.argv.slice(2)];
  const before = leftovers();
  const { status } = spawnSync(ENGINE, ['run', ...args], { cwd: ROOT, stdio: 'inherit' });
  process.exitCode = status ?? 1;
  const left = leftovers().filter((one) => !before.includes(one));
  if (left.length > 0) {
    console.log(`not ok 999 - the engine left ${left.join(', ')}`);
    process.exitCode = 1;
  }
} else {
  console.log(`ok 1 - containers # SKIP ${reason.stdout.trim() || reason.stderr.trim()}`);
}
