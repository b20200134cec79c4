/**
 * Keeps what was compiled for the next time, from its import on; threads hear of it from the
 * environment. Node.js guards what it keeps by a checksum alone, and runs it: so it is kept only
 * where nobody but this user (and root) can write, in `$XDG_CACHE_HOME/x0t/compile` or
 * `~/.cache/x0t/compile`; where there is no such place, and on Windows, nothing is kept. Plain
 * JavaScript: it is loaded before any compiler.
 */
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';

const WRITABLE_BY_OTHERS = 0o022;
const OPEN_TO_OTHERS = 0o077;
const STICKY = 0o1000;

const directory = safeDirectory();
if (directory === undefined) {
  delete process.env['NODE_COMPILE_CACHE'];
  process.env['NODE_DISABLE_COMPILE_CACHE'] = '1';
} else {
  enableCompileCache(directory);
  process.env['NODE_COMPILE_CACHE'] = directory;
}

function safeDirectory() {
  const uid = process.getuid?.();
  if (uid === undefined) return undefined;
  try {
    const named = process.env['XDG_CACHE_HOME'];
    const caches = named ? named : join(homedir(), '.cache');
    if (!isAbsolute(caches)) return undefined;
    const above = realpathSync(dirname(caches));
    if (!isSafeAbove(above, uid)) return undefined;
    return ownFolders(above, [basename(caches), 'x0t', 'compile'], uid);
  } catch {
    // no home, one that cannot be written to, or a place that is taken
    return undefined;
  }
}

/** Whether only this user and root can put something else in the place of a folder in `path`. */
function isSafeAbove(path, uid) {
  const { uid: owner, mode } = lstatSync(path);
  if (owner !== uid && owner !== 0) return false;
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0) return false;
  return dirname(path) === path || isSafeAbove(dirname(path), uid);
}

/**
 * Makes those that are missing; the innermost, if only this user can write to any. Nobody else may
 * enter that one: what Node.js makes in it has the modes that the umask leaves.
 */
function ownFolders(above, names, uid) {
  let path = above;
  for (const name of names) {
    path = join(path, name);
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if (error.code !== 'EEXIST') return undefined;
    }
    const made = lstatSync(path);
    const isOwn = made.isDirectory() && made.uid === uid;
    if (!isOwn || (made.mode & WRITABLE_BY_OTHERS) !== 0) return undefined;
  }
  return (lstatSync(path).mode & OPEN_TO_OTHERS) === 0 ? path : undefined;
}
