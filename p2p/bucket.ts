/** A token bucket: `burst` at once, `rate_s` per second in the long run. */
import type { Clock } from '#ledger/ports.ts';

export class Bucket {
  readonly #clock: Clock;
  readonly #rate_s: number;
  readonly #burst: number;
  #tokens: number;
  #at_ms: number;

  constructor(clock: Clock, rate_s: number, burst: number) {
    this.#clock = clock;
    this.#rate_s = rate_s;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at_ms = clock.monotonic_ms();
  }

  /** Takes one token; false when there is none. */
  take(): boolean {
    const now = this.#clock.monotonic_ms();
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + ((now - this.#at_ms) * this.#rate_s) / 1000,
    );
    this.#at_ms = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
