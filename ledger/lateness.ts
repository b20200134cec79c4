/** Weight of the newest sample in the smoothed lateness. */
const SHARE = 0.1;
/** A timer always fires a little late; this much says nothing of the load. */
const UNAVOIDABLE_MS = 1.5;

/** How late a node gets to what its pace makes it wait for, smoothed: a sign of its load. */
export class Lateness {
  #waitedUntil_ms: number | undefined;
  #smoothed_ms = 0;

  get smoothed_ms(): number {
    return this.#smoothed_ms;
  }

  /** The node means to look again at this monotonic time. */
  waits(until_ms: number): void {
    this.#waitedUntil_ms = until_ms;
  }

  /** The node looked again; takes one sample if it had waited. */
  woke(now_ms: number): void {
    if (this.#waitedUntil_ms === undefined) return;
    const late_ms = Math.max(0, now_ms - this.#waitedUntil_ms - UNAVOIDABLE_MS);
    this.#smoothed_ms += SHARE * (late_ms - this.#smoothed_ms);
    this.#waitedUntil_ms = undefined;
  }
}
