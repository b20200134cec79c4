import type { Clock } from '#ledger/ports.ts';

/**
 * The clock of one simulated machine on the common virtual time: its wall clock is skewed and may
 * step, the machine may stall (timers fire late, all at once), and it can be switched off, after
 * which no timer of it fires again.
 */
export class NodeClock implements Clock {
  readonly #base: Clock;
  /** Milliseconds that its wall clock is ahead of true time. */
  offset_ms: number;
  #isOff = false;
  #late: (() => void)[] | undefined;

  constructor(base: Clock, offset_ms: number) {
    this.#base = base;
    this.offset_ms = offset_ms;
  }

  wall_ms(): number {
    return this.#base.wall_ms() + this.offset_ms;
  }

  monotonic_ms(): number {
    return this.#base.monotonic_ms();
  }

  after(delay_ms: number, fire: () => void): () => void {
    let isCancelled = false;
    const run = (): void => {
      if (!isCancelled && !this.#isOff) fire();
    };
    const cancel = this.#base.after(delay_ms, () => {
      if (this.#late) this.#late.push(run);
      else run();
    });
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  stall(): void {
    this.#late ??= [];
  }

  resume(): void {
    const late = this.#late ?? [];
    this.#late = undefined;
    for (const fire of late) fire();
  }

  off(): void {
    this.#isOff = true;
    this.#late = undefined;
  }
}
