/**
 * `npm run test:system [-- ava's options]`: the tests that need root, or a line that says why they
 * do not run.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const FOLDER = join(ROOT, 'test', 'system');

function reasonToSkip(): string | undefined {
  if (process.getuid?.() !== 0) {
    return 'they need root (network namespaces, BPF): run `sudo npm run test:system`';
  }
  const names = existsSync(FOLDER) ? readdirSync(FOLDER, { recursive: true }) : [];
  return names.some((name) => String(name).endsWith('.test.ts'))
    ? undefined
    : 'test/system holds no *.test.ts';
}

const reason = reasonToSkip();
if (reason === undefined) {
  const ava = join(ROOT, 'node_modules', 'ava', 'entrypoints', 'cli.js');
  const config = join('test', 'tooling', 'ava.system.config.js');
  const args = [ava, '--config', config, ...process.argv.slice(2)];
  process.exitCode = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
} else {
  console.log(`# SKIP system tests: ${reason}`);
}
