import { X0tError } from './errors.ts';
import type { Fold } from './fold.ts';
import { storeKeys } from './keys.ts';
import type { OpenPayloads } from './open-payloads.ts';
import type { Pending, Pool } from './pool.ts';
import { pendingOps } from './pool-store.ts';
import type { Id, StoreOp } from './ports.ts';

/** Events that one turn takes. */
const PER_TURN = 1024;

interface Submission {
  readonly pending: Pending;
  /** Whether it is kept in the pool's part of the store before it is acknowledged. */
  readonly isDurable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Verified events on their way into the pool: taken in a turn, answered after its write. */
export class Inbox {
  #waiting: Submission[] = [];
  readonly #discarded: Id[] = [];
  /** Those of the turn under way. */
  #accepting: readonly Submission[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Resolves after the write of the turn that takes it; rejects with the pool's codes. */
  push(pending: Pending, isDurable: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ pending, isDurable, resolve, reject });
    });
  }

  /** Events that can come to nothing any more, to be forgotten with the next `take`. */
  discard(ids: readonly Id[]): void {
    for (const id of ids) this.#discarded.push(id);
  }

  /** Moves what waits into the pool, and says what keeps it. */
  take(
    ops: StoreOp[],
    { fold, pool }: { readonly fold: Fold; readonly pool: Pool },
    payloads: OpenPayloads,
    hasKey: (id: Id) => boolean,
  ): void {
    for (const id of this.#discarded.splice(0)) {
      pool.remove(id);
      ops.push({ type: 'del', key: storeKeys.pending(id) });
    }
    const accepted: Submission[] = [];
    for (const submission of this.#waiting.splice(0, PER_TURN)) {
      const { pending, isDurable, reject } = submission;
      const { id } = pending.entry;
      try {
        if (fold.isFinalEntry(pending.entry) || !pool.add(pending)) {
          // known, but perhaps since this turn: acknowledged after the write all the same
          accepted.push({ ...submission, isDurable: false });
          continue;
        }
        if (payloads.carrierOf(id)) pool.carried(id);
        if (isDurable) ops.push(...pendingOps(pending, hasKey));
        accepted.push(submission);
      } catch (error) {
        reject(error);
      }
    }
    this.#accepting = accepted;
  }

  /** Whether something taken wants to survive a power cut. */
  get isDurable(): boolean {
    return this.#accepting.some(({ isDurable }) => isDurable);
  }

  /** What was taken is kept: answers it. */
  written(): void {
    const accepted = this.#accepting;
    this.#accepting = [];
    for (const { resolve } of accepted) resolve();
  }

  /** Nothing is taken any more. */
  refuse(code: string, message: string): void {
    const error = new X0tError(code, message);
    for (const { reject } of [...this.#accepting, ...this.#waiting.splice(0)]) reject(error);
    this.#accepting = [];
  }
}
