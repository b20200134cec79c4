import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, readFile, readlink, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import type { PeerCredentials, PeerProcess } from '#native/peer-process.ts';
import { CONNECTIONS_MAX, partyOf } from './caller-room.ts';
import { HashBudget } from './hash-budget.ts';

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
/**
 * Digests remembered of one party, by file and state: a program is not read again for each of its
 * processes. Each has its own, so that nobody drives out another's.
 */
const DIGESTS_MAX = 32;
/** Read at once while hashing. */
const CHUNK_BYTES = 256 * 1024;

/** Reads facts of callers from `/proc`. */
export class Attestor {
  /** By party, then by device, inode, size and times; the oldest goes first. */
  readonly #digests = new Map<string, Map<string, Promise<string>>>();
  /** By party: the last of its programs that is being hashed. */
  readonly #hashing = new Map<string, Promise<string>>();
  readonly #budget: HashBudget;
  readonly #proc: string;

  constructor(clock: Pick<Clock, 'monotonic_ms'>, proc = '/proc') {
    this.#budget = new HashBudget(clock, CONNECTIONS_MAX);
    this.#proc = proc;
  }

  /**
   * Facts of a living caller. Fails with `caller_gone` when it has ended meanwhile or its pid is
   * another's, `caller_changed` when it runs under other ids than it connected with, and
   * `workload_busy` when too much was hashed for its uid. `needsDigest`: whether `sha256` is
   * wanted.
   */
  async facts(caller: PeerProcess, needsDigest: boolean): Promise<CallerFacts> {
    const { pid, uid, gid } = caller.credentials;
    if (!caller.isAlive) return gone(pid);
    const ids = await this.#idsOf(pid);
    const program = await this.#programOf(caller.credentials, needsDigest);
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
   * the file may have been replaced: the path counts only where it leads to the same file here. The
   * program is opened once, so that all of it is of one file, whatever the caller executes next.
   */
  async #programOf(
    { pid, uid }: PeerCredentials,
    needsDigest: boolean,
  ): Promise<{ path?: string; sha256?: string }> {
    const exe = `${this.#proc}/${pid}/exe`;
    // another user's process, without the right to look at it
    const file = await open(exe, 'r').catch(() => undefined);
    if (!file) return {};
    try {
      const running = await file.stat({ bigint: true });
      const path = await readlink(exe);
      const here = await stat(path, { bigint: true }).catch(() => undefined);
      const isSame = here?.dev === running.dev && here.ino === running.ino;
      const sha256 = needsDigest ? await this.#digestOf(file, running, uid) : undefined;
      return { ...(isSame && { path }), ...(sha256 !== undefined && { sha256 }) };
    } catch (error) {
      if (error instanceof X0tError) throw error;
      return {};
    } finally {
      await file.close();
    }
  }

  async #digestOf(file: FileHandle, of: BigIntStats, uid: number): Promise<string | undefined> {
    const { dev, ino, size, mtimeNs, ctimeNs } = of;
    if (size > PROGRAM_BYTES_MAX) return undefined;
    const name = [dev, ino, size, mtimeNs, ctimeNs].join('/');
    const party = partyOf(uid);
    const known = this.#digests.get(party)?.get(name);
    if (known !== undefined) return known;
    if (!this.#budget.take(party, Number(size))) {
      fail('workload_busy', 'programs of a uid change too often to be hashed each time', { uid });
    }
    // one at a time for each party: nobody else waits for who brings many large programs
    const before = this.#hashing.get(party) ?? Promise.resolve();
    const hash = (): Promise<string> => digestOfFile(file);
    const digest = before.then(hash, hash);
    this.#hashing.set(party, digest);
    const own = this.#remember(party, name, digest);
    try {
      return await digest;
    } catch (error) {
      own.delete(name);
      throw error;
    } finally {
      if (this.#hashing.get(party) === digest) this.#hashing.delete(party);
    }
  }

  /** Who was heard of last stands last. Returns what is remembered of the party. */
  #remember(party: string, name: string, digest: Promise<string>): Map<string, Promise<string>> {
    const own = this.#digests.get(party) ?? new Map<string, Promise<string>>();
    this.#digests.delete(party);
    this.#digests.set(party, own);
    own.set(name, digest);
    dropOldest(own, DIGESTS_MAX);
    dropOldest(this.#digests, CONNECTIONS_MAX);
    return own;
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  const [oldest] = map.keys();
  if (map.size > max && oldest !== undefined) map.delete(oldest);
}

async function digestOfFile(file: FileHandle): Promise<string> {
  const digest = createHash('sha256');
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) return digest.digest('hex');
    digest.update(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
}

function gone(pid: number): never {
  return fail('caller_gone', 'the process that connected has ended', { pid });
}
