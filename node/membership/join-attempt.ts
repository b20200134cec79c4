import { existsSync } from 'node:fs';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { X0tError } from '#ledger/errors.ts';
import { isFinal } from './joiner.ts';

/** No refusal of a member, and yet another try with this token comes to the same. */
const FINAL = new Set(['genesis_foreign', 'join_no_address']);

/**
 * One run of joining: what it has made, so that a refusal for good leaves nothing of it behind, and
 * whether a member may have taken its event all the same.
 */
export class JoinAttempt {
  /** How to take back each thing that was made, in the order of making. */
  readonly #undo: (() => Promise<void>)[] = [];
  #mayBeTaken = false;

  /** Makes a directory with those above it. */
  async directory(path: string): Promise<void> {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first !== undefined) this.#undo.push(() => removeEmpty(resolve(path), resolve(first)));
  }

  /** Has a private file written that is not there yet, with the directories that it needs. */
  async file<T>(path: string, write: () => Promise<T>): Promise<T> {
    await this.directory(dirname(path));
    if (!existsSync(path)) this.#undo.push(() => rm(path, { force: true }));
    return write();
  }

  /** Notes how something is brought back that this run replaces. */
  replaces(restore: () => Promise<void>): void {
    this.#undo.push(restore);
  }

  /** A member has the event, and may yet make it final. */
  taken(): void {
    this.#mayBeTaken = true;
  }

  /** One address gave no final word: the error of `askToJoin`. */
  missed(error: unknown): void {
    if (error instanceof X0tError && error.data['isSent'] === true) this.taken();
  }

  /**
   * The error to throw for the one that ended this run: it says whether another try makes sense.
   * After a refusal for good nothing is left of what this run made, unless a member may know the
   * keys: who came in with them would have lost them.
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
  'This is final for this token. The keys are kept, as a member may have taken them.';
const FOR_NOW = 'This may pass: the keys are kept, and the same command goes on with them.';

/** Removes directories from the innermost up to `first`, as far as they are empty. */
async function removeEmpty(innermost: string, first: string): Promise<void> {
  for (let path = innermost; path.startsWith(first); path = dirname(path)) {
    const isGone = await rmdir(path).then(() => true, () => false);
    if (!isGone) return;
  }
}
