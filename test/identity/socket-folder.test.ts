import { chmodSync, chownSync, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { assertOwnFolder } from '#node/identity/socket-folder.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { makeRig } from './support.ts';

/** Where a socket of the Workload API may be: nobody else can take its place. */

const own = process.geteuid?.() ?? 0;
const OPEN = 'socket_folder_open';
const made = (): string => mkdtempSync(join(tmpdir(), 'x0t-'));
const codeOf = (folder: string, uid = own): Promise<string> =>
  codeOfPromise(assertOwnFolder(folder, uid));

/** Gives a folder or link to somebody else, or says as whom it is somebody else's. */
function givenAway(path: string, give: (path: string) => void): number {
  if (own !== 0) return own + 1;
  give(path);
  return own;
}

const OTHER_UID = 4242;
const chown = (path: string): void => chownSync(path, OTHER_UID, OTHER_UID);

test('a folder of our own in a sticky one is good, the sticky one itself is not', async (t) => {
  const parent = made();
  const folder = join(parent, 'run');
  mkdirSync(folder, { mode: 0o755 });
  const above = await assertOwnFolder(folder, own);
  t.not(above, parent);
  chmodSync(parent, 0o1777);
  t.is(await assertOwnFolder(folder, own), parent, 'it says where others may make it anew');
  chmodSync(parent, 0o1755);
  t.is(await assertOwnFolder(folder, own), above, 'where nobody else may write, nobody can');
  chmodSync(parent, 0o1777);
  t.is(await codeOf(parent), OPEN);
  t.is(await codeOf(tmpdir()), OPEN);
});

test('others may write neither to the folder nor to one above it', async (t) => {
  const parent = made();
  const folder = join(parent, 'run');
  mkdirSync(folder);
  for (const mode of [0o777, 0o775, 0o757, 0o1777, 0o1775]) {
    chmodSync(folder, mode);
    t.is(await codeOf(folder), OPEN, mode.toString(8));
  }
  chmodSync(folder, 0o755);
  for (const mode of [0o777, 0o775, 0o757]) {
    chmodSync(parent, mode);
    t.is(await codeOf(folder), OPEN, mode.toString(8));
  }
  chmodSync(parent, 0o711);
  await t.notThrowsAsync(assertOwnFolder(folder, own));
});

test('the folder and those above it are ours or of root', async (t) => {
  const folder = made();
  t.is(await codeOf(folder, givenAway(folder, chown)), OPEN);
  const parent = made();
  const below = join(parent, 'run');
  mkdirSync(below);
  t.is(await codeOf(below, givenAway(parent, chown)), OPEN);
});

test('links on the way are looked at where they lie and where they lead', async (t) => {
  const parent = made();
  const folder = join(parent, 'run');
  mkdirSync(folder);
  const way = made();
  const link = join(way, 'link');
  symlinkSync(folder, link);
  await t.notThrowsAsync(assertOwnFolder(link, own));
  chmodSync(way, 0o777);
  t.is(await codeOf(link), OPEN, 'others may put another link there');
  chmodSync(way, 0o700);
  chmodSync(parent, 0o777);
  t.is(await codeOf(link), OPEN);
  chmodSync(parent, 0o755);
  const loop = join(way, 'loop');
  symlinkSync(loop, loop);
  t.is(await codeOf(loop), 'socket_failed');
  t.is(await codeOf(join(way, 'none')), 'socket_failed');
});

test('no socket is made in such a folder', async (t) => {
  const folder = made();
  for (const mode of [0o777, 0o775, 0o1777]) {
    chmodSync(folder, mode);
    t.is(await codeOfPromise(makeRig({ socket: join(folder, 's') })), OPEN);
  }
  chmodSync(folder, 0o755);
  const rig = await makeRig({ socket: join(folder, 's') });
  await rig.stop();
});
