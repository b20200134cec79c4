import type { Clock } from './ports.ts';
import type { Replica } from './replica.ts';

/**
 * Without final events for so long the tail of the log is cut and signed too, so that a receipt of
 * a lone event does not wait for the next periodic cut. A node's own choice: cuts of one size are
 * equal whenever they are made.
 */
export const IDLE_CUT_MS = 1000;

/** Asks the replica for an idle cut when nothing became final for a time. One timer. */
export class IdleCut {
  readonly #replica: Pick<Replica, 'cutIdle'>;
  readonly #clock: Clock;
  #last_ms = 0;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(replica: Pick<Replica, 'cutIdle'>, clock: Clock) {
    this.#replica = replica;
    this.#clock = clock;
  }

  /** Events became final, or the node has started. */
  arm(): void {
    this.#last_ms = this.#clock.monotonic_ms();
    if (!this.#cancel) this.#wait(IDLE_CUT_MS);
  }

  #wait(delay_ms: number): void {
    if (this.#isStopped) return;
    this.#cancel = this.#clock.after(delay_ms, () => {
      this.#cancel = undefined;
      const left_ms = this.#last_ms + IDLE_CUT_MS - this.#clock.monotonic_ms();
      if (left_ms > 0) this.#wait(left_ms);
      else this.#replica.cutIdle();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }
}
