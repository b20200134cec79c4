import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { X0tError, fail } from '#ledger/errors.ts';

const { S_IWGRP, S_IWOTH } = constants;
/** In such a folder an entry is renamed or removed by its owner, or the folder's, only. */
const STICKY = 0o1000;
/** Links on the way to a folder; Linux follows as many. */
const LINKS_MAX = 40;
const ROOT_UID = 0;

/**
 * Ascertains that nobody but root and `uid` can put anything into a folder, or another folder into
 * its place: who could would hand out identities of his own making. The folder, those above it and
 * every link on the way belong to one of the two, and neither group nor others may write there;
 * only folders above it may be sticky, as nobody can move there what is ours. Without such a one
 * this holds also while the node is down. Below one, which is answered then, it holds as long as
 * the folder is there: whoever comes first makes it anew after a reboot or a cleaner. Fails with
 * `socket_folder_open`, or `socket_failed` where there is no such folder.
 */
export async function assertOwnFolder(folder: string, uid: number): Promise<string | undefined> {
  const refuse = (path: string, reason: string): never =>
    fail('socket_folder_open', 'others may replace the socket or its folder', {
      folder,
      path,
      reason,
    });
  let at = '/';
  let rest = partsOf(resolve(folder));
  let here = await statOf(at);
  let sticky: string | undefined;
  for (let links = 0; ; ) {
    const isOpen = (here.mode & (S_IWGRP | S_IWOTH)) !== 0;
    if (here.uid !== ROOT_UID && here.uid !== uid) refuse(at, 'it belongs to another user');
    const [name, ...later] = rest;
    if (name === undefined) {
      if (isOpen) refuse(at, 'others may write to it');
      return sticky;
    }
    if (isOpen && (here.mode & STICKY) === 0) refuse(at, 'others may write to it');
    if (isOpen) sticky = at;
    const next = join(at, name);
    const found = await statOf(next);
    if (found.isSymbolicLink()) {
      if (found.uid !== ROOT_UID && found.uid !== uid) refuse(next, 'it belongs to another user');
      links += 1;
      if (links > LINKS_MAX) unusable('too many links');
      rest = [...partsOf(resolve(at, await readlink(next))), ...later];
      at = '/';
      here = await statOf(at);
    } else {
      rest = later;
      at = next;
      here = found;
    }
  }
}

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '');

async function statOf(path: string): Promise<Stats> {
  return lstat(path).catch((cause: unknown) =>
    unusable(cause instanceof Error ? cause.message : 'unknown', cause),
  );
}

function unusable(reason: string, cause?: unknown): never {
  const message = 'the folder of the socket cannot be used';
  throw new X0tError('socket_failed', message, { reason }, { cause });
}
