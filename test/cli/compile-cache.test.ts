import { execFile } from 'node:child_process';
import {
  chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, realpathSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { folder } from './support.ts';

/** Where compiled code is kept: who could write there could have it run by this user. */

const CLI = join(import.meta.dirname, '..', '..', 'node', 'cli');
/** Says what a thread is told, and whether this process keeps anything. */
const PROBE = `
  const { NODE_COMPILE_CACHE: to, NODE_DISABLE_COMPILE_CACHE: off } = process.env;
  const { getCompileCacheDir } = await import('node:module');
  console.log(JSON.stringify({ to, off, kept: getCompileCacheDir() }));
`;

interface Found {
  readonly to?: string;
  readonly off?: string;
  readonly kept?: string;
}

async function found(env: NodeJS.ProcessEnv): Promise<Found> {
  const code = `await import(${JSON.stringify(join(CLI, 'compile-cache.js'))});${PROBE}`;
  const args = ['--input-type=module', '-e', code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  return JSON.parse(stdout) as Found;
}

async function none(t: ExecutionContext, env: NodeJS.ProcessEnv, name: string): Promise<void> {
  t.deepEqual(await found(env), { off: '1' }, name);
}

test('compiled code is kept in a folder of the own user, and threads are told', async (t) => {
  const home = realpathSync(folder(t));
  const own = join(home, '.cache', 'x0t', 'compile');
  const first = await found({ HOME: home });
  t.is(first.to, own);
  t.true(first.kept?.startsWith(`${own}/`));
  for (const path of [own, join(own, '..'), join(own, '..', '..')]) {
    t.is(lstatSync(path).mode & 0o777, 0o700, path);
  }
  const xdg = join(home, 'caches');
  t.is((await found({ HOME: home, XDG_CACHE_HOME: xdg })).to, join(xdg, 'x0t', 'compile'));
  for (const entry of ['main.ts', 'x0t.js']) {
    const to = join(home, entry);
    const env = { HOME: home, XDG_CACHE_HOME: to, TMPDIR: home };
    await promisify(execFile)(process.execPath, [join(CLI, entry), '--version'], { env });
    t.not(readdirSync(join(to, 'x0t', 'compile')).length, 0, entry);
  }
  t.false(existsSync(join(home, 'node-compile-cache')), 'nothing where Node.js would put it');
});

test('nothing is kept where others can write, or could have made the folder', async (t) => {
  const home = realpathSync(folder(t));
  const at = (name: string): string => join(home, name, 'x0t', 'compile');
  for (const [i, depth] of ['.', '..', '../..'].entries()) {
    const name = `open-${i}`;
    mkdirSync(at(name), { recursive: true, mode: 0o700 });
    chmodSync(join(at(name), depth), 0o770);
    await none(t, { XDG_CACHE_HOME: join(home, name) }, `${name}: of the group`);
  }
  mkdirSync(at('seen'), { recursive: true });
  chmodSync(at('seen'), 0o755);
  await none(t, { XDG_CACHE_HOME: join(home, 'seen') }, 'others can look into it');
  mkdirSync(at('target'), { recursive: true, mode: 0o700 });
  mkdirSync(join(home, 'linked', 'x0t'), { recursive: true, mode: 0o700 });
  symlinkSync(at('target'), at('linked'));
  await none(t, { XDG_CACHE_HOME: join(home, 'linked') }, 'a link');
  mkdirSync(join(home, 'wide'));
  chmodSync(join(home, 'wide'), 0o777);
  await none(t, { XDG_CACHE_HOME: join(home, 'wide', 'mine') }, 'a folder above');
  t.false(existsSync(join(home, 'wide', 'mine')));
  await none(t, { XDG_CACHE_HOME: 'here' }, 'no absolute path');
  await none(t, { HOME: join(home, 'none') }, 'no home');
  await none(t, { HOME: '/proc/self' }, 'a home that cannot be written to');
  const inherited = { HOME: join(home, 'none'), NODE_COMPILE_CACHE: join(home, 'theirs') };
  t.is((await found(inherited)).to, undefined, 'threads hear of no other');
});
