import { lstat, mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { X0tError } from '#ledger/errors.ts';
import { isFinal } from './joiner.ts';

/** No refusal of a member, and yet another try with this token comes to the same. */
const FINAL = new Set(['genesis_foreign', 'join_no_address']);

/**
 * One run of joining: what it has made, so that nothing of it is left behind where it ends for good
 * before any member heard of it.
 */
export class JoinAttempt {
  /** How to take back each thing that was made, in the order of making. */
  readonly #undo: (() => Promise<unknown>)[] = [];
  #mayBeTaken = false;

  /** Makes a directory with those above it. */
  async directory(path: string): Promise<void> {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    const outermost = resolve(first);
    const made: string[] = [];
    for (let one = resolve(path); one !== outermost; one = dirname(one)) made.unshift(one);
    for (const one of [outermost, ...made]) await this.#made(one, () => rmdirEmpty(one));
  }

  /**
   * Has a private file written, with the directories that it needs. `takeBack` removes it, or
   * brings back what it replaces; never where another file is in its place by then.
   */
  async file<T>(
    path: string,
    write: () => Promise<T>,
    takeBack: () => Promise<void> = () => rm(path, { force: true }),
  ): Promise<T> {
    await this.directory(dirname(path));
    const written = await write();
    await this.#made(path, takeBack);
    return written;
  }

  async #made(path: string, takeBack: () => Promise<void>): Promise<void> {
    const made = await identityOf(path);
    this.#undo.push(async () => (await identityOf(path)) === made && takeBack());
  }

  /** A member may have the event, and make it final when it likes. */
  taken(): void {
    this.#mayBeTaken = true;
  }

  /** One address gave no reply: the error of `askToJoin`. Who refuses knows the event. */
  missed(error: unknown): void {
    if (error instanceof X0tError && error.data['isSent'] === true) this.taken();
  }

  /**
   * The error to throw for the one that ended this run: it says whether another try makes sense.
   * After one for good nothing is left of what this run made, unless a member may know the keys:
   * whatever it says, it can bring them in, and nobody else would have them. Another token goes on
   * with what is left.
   */
  async ended(error: unknown): Promise<unknown> {
    if (!(error instanceof X0tError)) return error;
    const isForGood = isFinal(error) || FINAL.has(error.code);
    if (!isForGood && error.data['isPassing'] !== true) return error;
    const isLeft = !isForGood || this.#mayBeTaken;
    if (!isLeft) for (const undo of this.#undo.toReversed()) await undo();
    const { code, message, data } = error;
    const about = isForGood ? (isLeft ? UNSURE : FOR_GOOD) : FOR_NOW;
    const { isPassing: _, isSent: _sent, ...rest } = data;
    return new X0tError(code, `${message} ${about}`, { ...rest, isFinal: isForGood }, {
      cause: error,
    });
  }
}

const FOR_GOOD = 'This is final for this token, and nothing that this run made is left.';
const UNSURE =
  'This is final for this token. A member may know the keys, so they are kept: ' +
  'the same command with another token goes on with them.';
const FOR_NOW = 'This may pass: the keys are kept, and the same command goes on with them.';

/** What tells a file from another one at the same path: inodes are used again. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev} ${found.ino} ${found.birthtimeNs}`;
}

async function rmdirEmpty(path: string): Promise<void> {
  await rmdir(path).catch(() => undefined);
}
