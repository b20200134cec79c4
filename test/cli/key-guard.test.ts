import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { folder } from './support.ts';

/** Commands that have private keys in memory leave no image of it, or say that they might. */

const MAIN = join(import.meta.dirname, '..', '..', 'node', 'cli', 'x0t.js');
const PRELOAD = join(import.meta.dirname, 'dumpable.ts');
const SENTENCE = /A crash of this process may leave an image/;
/** Ends a node once it has started. */
const STARTED = /node started/;

/** Runs a command and tells what it said, and `1` where the kernel may dump it, `0` where not. */
async function dumpableIn(
  t: ExecutionContext,
  cwd: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<{ dumpable: string; stderr: string }> {
  const file = join(folder(t), 'dumpable');
  const env = { ...process.env, NODE_OPTIONS: `--import ${PRELOAD}`, DUMPABLE_FILE: file, ...more };
  const stdio: ['ignore', 'ignore', 'pipe'] = ['ignore', 'ignore', 'pipe'];
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env, stdio });
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const hasStarted = STARTED.test(stderr);
    stderr += text;
    if (!hasStarted && STARTED.test(stderr)) child.kill('SIGINT');
  });
  await once(child, 'close');
  return { dumpable: existsSync(file) ? readFileSync(file, 'utf8') : stderr, stderr };
}

const isLinux = process.platform === 'linux';
const onLinux = isLinux ? test : test.skip;

onLinux('every command that reads or makes private keys forbids images of itself', async (t) => {
  const cwd = folder(t);
  const commands = [
    ['key', 'new', 'me.key'],
    ['init', '--data', 'data'],
    ['key', 'backup', '--out', 'saved', '--data', 'data'],
    ['invite', '--data', 'data', '--role', 'observer'],
    ['kv', 'put', 'a', 'b', '--data', 'data'],
    ['init-network', '--dir', 'net', '--validators', 'a'],
  ];
  for (const args of commands) {
    const { dumpable, stderr } = await dumpableIn(t, cwd, args);
    t.is(dumpable, '0', `${args.join(' ')}: ${stderr}`);
    t.notRegex(stderr, SENTENCE);
  }
  t.is((await dumpableIn(t, cwd, ['audit', 'none.car'])).dumpable, '1', 'it has none');
});

test('where it cannot be forbidden a command says so', async (t) => {
  const cwd = folder(t);
  const { stderr } = await dumpableIn(t, cwd, ['key', 'new', 'me.key'], { NO_LIBRARY: '1' });
  t.regex(stderr, SENTENCE);
  t.true(existsSync(join(cwd, 'me.key')), 'and goes on');
});

test('where it cannot be forbidden a node warns in its log', async (t) => {
  const cwd = folder(t);
  await dumpableIn(t, cwd, ['init', '--data', 'data']);
  const args = ['start', '--data', 'data', '--api-port', '0', '--p2p-port', '0'];
  const { stderr } = await dumpableIn(t, cwd, args, { NO_LIBRARY: '1' });
  const lines = stderr.split('\n').filter((line) => SENTENCE.test(line));
  t.is(lines.length, 1, stderr);
  t.like(JSON.parse(lines[0] ?? ''), { level: 40 });
});
