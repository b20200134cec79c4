import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, readlink, stat } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { fail } from '#ledger/errors.ts';
import type { PeerProcess } from '#native/peer-process.ts';

/**
 * What is known of the process that called, read at the time of the asking. `path` and `sha256` are
 * missing where this node may not look (another uid's process, without root) or where they would
 * mislead.
 */
export interface CallerFacts {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Absolute path of the program, as this node sees the file system. */
  readonly path?: string;
  /** SHA-256 of the program's bytes, lower-case hex. */
  readonly sha256?: string;
}

/** Bytes of a program that is hashed; larger ones have no `sha256`. */
const PROGRAM_BYTES_MAX = 512n * 1024n * 1024n;
/** Digests remembered, by file and state: a program is not read again for each of its processes. */
const DIGESTS_MAX = 256;

/** Reads facts of callers from `/proc`. */
export class Attestor {
  /** By device, inode, size and times; the oldest goes first. */
  readonly #digests = new Map<string, Promise<string>>();
  readonly #proc: string;

  constructor(proc = '/proc') {
    this.#proc = proc;
  }

  /**
   * Facts of a living caller. Fails with `caller_gone` when it has ended meanwhile or its pid is
   * another's, `caller_changed` when it runs under other ids than it connected with.
   * `needsDigest`: whether `sha256` is wanted.
   */
  async facts(caller: PeerProcess, needsDigest: boolean): Promise<CallerFacts> {
    const { pid, uid, gid } = caller.credentials;
    if (!caller.isAlive) return gone(pid);
    const ids = await this.#idsOf(pid);
    const program = await this.#programOf(pid, needsDigest);
    // what was read belongs to the caller only if nobody else has its pid now
    if (!caller.isAlive) return gone(pid);
    if (ids?.uid !== uid || ids.gid !== gid) {
      return fail('caller_changed', 'the caller runs under other ids than it connected with', {
        pid,
      });
    }
    return { pid, uid, gid, ...program };
  }

  /** Effective uid and gid: the second number of each line. */
  async #idsOf(pid: number): Promise<{ uid: number; gid: number } | undefined> {
    const status = await readFile(`${this.#proc}/${pid}/status`, 'latin1').catch(() => '');
    const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1];
    const gid = /^Gid:\s+\d+\s+(\d+)/m.exec(status)?.[1];
    return uid === undefined || gid === undefined
      ? undefined
      : { uid: Number(uid), gid: Number(gid) };
  }

  /**
   * The link's text is a name in the caller's own mount namespace, which it may have arranged, and
   * the file may have been replaced: the path counts only where it leads to the same file here.
   */
  async #programOf(
    pid: number,
    needsDigest: boolean,
  ): Promise<{ path?: string; sha256?: string }> {
    const exe = `${this.#proc}/${pid}/exe`;
    try {
      const running = await stat(exe, { bigint: true });
      const path = await readlink(exe);
      const here = await stat(path, { bigint: true }).catch(() => undefined);
      const isSame = here?.dev === running.dev && here.ino === running.ino;
      const sha256 = needsDigest ? await this.#digestOf(exe, running) : undefined;
      return { ...(isSame && { path }), ...(sha256 !== undefined && { sha256 }) };
    } catch {
      return {};
    }
  }

  async #digestOf(exe: string, file: BigIntStats): Promise<string | undefined> {
    if (file.size > PROGRAM_BYTES_MAX) return undefined;
    const { dev, ino, size, mtimeNs, ctimeNs } = file;
    const name = [dev, ino, size, mtimeNs, ctimeNs].join('/');
    const known = this.#digests.get(name);
    if (known) return known;
    const digest = digestOfFile(exe);
    this.#digests.set(name, digest);
    const [oldest] = this.#digests.keys();
    if (this.#digests.size > DIGESTS_MAX && oldest !== undefined) this.#digests.delete(oldest);
    try {
      return await digest;
    } catch (error) {
      this.#digests.delete(name);
      throw error;
    }
  }
}

async function digestOfFile(path: string): Promise<string> {
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer);
  return digest.digest('hex');
}

function gone(pid: number): never {
  return fail('caller_gone', 'the process that connected has ended', { pid });
}
