import type { Clock } from '#ledger/ports.ts';

/** Some 100 bytes each; at the limit of requests of one node that is minutes of them. */
const NONCES_MAX = 100_000;

/**
 * What was used a short time ago, in two generations: the older one is dropped when it is out of
 * date. When too much is remembered nothing more is taken, so that nothing can be made to be
 * forgotten.
 */
export class Nonces {
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #span_ms: number;
  #fresh = new Set<string>();
  #old = new Set<string>();
  #turned_ms: number;

  /** What was taken is known for `span_ms` at least. */
  constructor(clock: Pick<Clock, 'monotonic_ms'>, span_ms: number) {
    this.#clock = clock;
    this.#span_ms = span_ms;
    this.#turned_ms = clock.monotonic_ms();
  }

  /** Whether it is new; from then on it is not. */
  take(nonce: string): boolean {
    this.#turn();
    if (this.#fresh.has(nonce) || this.#old.has(nonce)) return false;
    if (this.#fresh.size >= NONCES_MAX) return false;
    this.#fresh.add(nonce);
    return true;
  }

  #turn(): void {
    const now_ms = this.#clock.monotonic_ms();
    const passed_ms = now_ms - this.#turned_ms;
    if (passed_ms < this.#span_ms) return;
    this.#old = passed_ms < 2 * this.#span_ms ? this.#fresh : new Set();
    this.#fresh = new Set();
    this.#turned_ms = now_ms;
  }
}
