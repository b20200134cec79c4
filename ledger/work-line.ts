import { codeOf } from './errors.ts';
import type { Log } from './ports.ts';

/**
 * Work that must not overlap, one after the other. What fails is logged, and the next goes on;
 * after `stop` nothing further begins. Who adds bounds what waits.
 */
export class WorkLine {
  readonly #log: Log;
  /** What a failure is called in the log. */
  readonly #failed: string;
  #last: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(log: Log, failed: string) {
    this.#log = log;
    this.#failed = failed;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Resolves when it is done, or has failed. */
  add(work: () => Promise<void>): Promise<void> {
    this.#last = this.#after(this.#last, work);
    return this.#last;
  }

  async #after(before: Promise<void>, work: () => Promise<void>): Promise<void> {
    await before;
    if (this.#isStopped) return;
    try {
      await work();
    } catch (error) {
      this.#log.error({ code: codeOf(error) }, this.#failed);
    }
  }

  /** Resolves when what was added until now is done. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** Ends after the work under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#last;
  }
}
