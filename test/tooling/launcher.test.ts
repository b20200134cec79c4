import test from 'ava';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LAUNCHER = join(import.meta.dirname, '..', '..', 'node', 'cli', 'x0t.js');
const CACHE = join(LAUNCHER, '..', 'compile-cache.js');
/** Makes the running Node call itself 20; the Node that the launcher starts is not affected. */
const AS_NODE_20 = '--import=data:text/javascript,'
  + 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.20.2"}})';
const PACKAGE = `node-${process.platform}-${process.arch}`;

/** What it prints says that it is ready for a signal. */
const MAIN = `
if (process.argv[2] === 'trap') process.on('SIGTERM', () => process.exit(9));
if (['wait', 'trap'].includes(process.argv[2])) setInterval(() => undefined, 1000);
console.log(JSON.stringify([process.versions.node.split('.')[0], ...process.argv.slice(2)]));
process.exitCode = 5;
`;

/** A project with the launcher, a `main.ts` that prints what it got, and maybe a bundled Node. */
function project(bundled: boolean): { readonly launcher: string; readonly remove: () => void } {
  const root = mkdtempSync(join(tmpdir(), 'x0t-launcher-'));
  mkdirSync(join(root, 'node_modules', PACKAGE, 'bin'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  writeFileSync(join(root, 'main.ts'), MAIN);
  const launcher = join(root, 'x0t.js');
  copyFileSync(LAUNCHER, launcher);
  copyFileSync(CACHE, join(root, 'compile-cache.js'));
  if (bundled) {
    writeFileSync(join(root, 'node_modules', PACKAGE, 'package.json'), '{}');
    symlinkSync(process.execPath, join(root, 'node_modules', PACKAGE, 'bin', 'node'));
  }
  return { launcher, remove: () => rmSync(root, { recursive: true }) };
}

function run(bundled: boolean, args: readonly string[]): SpawnSyncReturns<string> {
  const { launcher, remove } = project(bundled);
  const [flags, rest] = args[0] === AS_NODE_20 ? [[AS_NODE_20], args.slice(1)] : [[], args];
  const result = spawnSync(process.execPath, [...flags, launcher, ...rest], { encoding: 'utf8' });
  remove();
  return result;
}

const major = process.versions.node.split('.')[0];

test('on Node 26 it runs main.ts in the same process', (t) => {
  const { stdout, status } = run(false, ['status', '--json']);
  t.deepEqual(JSON.parse(stdout), [major, 'status', '--json']);
  t.is(status, 5);
});

test('on an older Node it starts the bundled one and hands on its exit code', (t) => {
  const { stdout, status, stderr } = run(true, [AS_NODE_20, 'status', '--json']);
  t.deepEqual(JSON.parse(stdout), [major, 'status', '--json'], stderr);
  t.is(status, 5);
});

test('without a bundled Node it says what to do and ends with 2', (t) => {
  const { stdout, status, stderr } = run(false, [AS_NODE_20, 'status']);
  t.is(status, 2);
  t.is(stdout, '');
  t.regex(stderr, /this is Node\.js 20\.20\.2 .*\n.*needs Node\.js 26 .*`npm ci`/);
});

for (const [command, code, signal] of [['trap', 9, null], ['wait', null, 'SIGTERM']] as const) {
  test(`it forwards SIGTERM to a command that ${command}s`, async (t) => {
    const { launcher, remove } = project(true);
    const child = spawn(process.execPath, [AS_NODE_20, launcher, command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    t.deepEqual(await ended, [code, signal]);
    remove();
  });
}
