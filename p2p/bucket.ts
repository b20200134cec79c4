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

  /** `share` (0 to 1) of a bucket; one token at once at least, unless it is 0. */
  static scaled(clock: Clock, rate_s: number, burst: number, share: number): Bucket {
    return new Bucket(clock, rate_s * share, Math.max(share > 0 ? 1 : 0, burst * share));
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
