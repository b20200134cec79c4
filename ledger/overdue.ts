import type { Clock } from './ports.ts';

/** One timer for the oldest open payload: a node looks again also where nothing else happens. */
export class OverdueTimer {
  readonly #clock: Clock;
  readonly #wake: () => void;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  /** Wakes at this monotonic time, if no earlier call waits still. */
  arm(at_ms: number | undefined): void {
    if (this.#cancel || at_ms === undefined) return;
    this.#cancel = this.#clock.after(Math.max(0, at_ms - this.#clock.monotonic_ms()), () => {
      this.#cancel = undefined;
      this.#wake();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
