import type { Clock } from '#ledger/ports.ts';

/** A catch-up that brings nothing for so long has stalled. */
const STALLED_MS = 5000;
/** What a block of the catch-up weighs against one that came another way. */
const WEIGHT = 2;
/** So much more than the live network a catch-up has to bring before anything waits for it. */
const CREDIT_MIN = 64;
/** What it brought once counts no longer than for so many blocks of others. */
const CREDIT_MAX = 128;

/**
 * Whether a catch-up really brings this node on. What a peer promises proves nothing, nor does a
 * log that grows, since the live network makes it grow too. So blocks count that the catch-up was
 * the first to bring, against all that were accepted meanwhile: a peer that is merely quick with a
 * few live blocks never gets there, and one that stops loses it all after `STALLED_MS`.
 */
export class Progress {
  readonly #clock: Pick<Clock, 'monotonic_ms' | 'after'>;
  /** Blocks accepted here since the start, whoever brought them. */
  readonly #accepted: () => number;
  /** Called when a stall lets go of what had to wait. */
  readonly #wake: () => void;
  #isOn = false;
  #credit = 0;
  #counted = 0;
  #began_ms = 0;
  #last_ms = 0;
  #cancel: (() => void) | undefined;

  constructor(
    clock: Pick<Clock, 'monotonic_ms' | 'after'>,
    accepted: () => number,
    wake: () => void,
  ) {
    this.#clock = clock;
    this.#accepted = accepted;
    this.#wake = wake;
  }

  /** A catch-up begins; it has brought nothing yet. */
  begin(): void {
    this.#isOn = true;
    this.#credit = 0;
    this.#counted = this.#accepted();
    this.#began_ms = this.#clock.monotonic_ms();
  }

  /** It brought a valid block that was new here. */
  brought(): void {
    this.#settle();
    this.#credit = Math.min(CREDIT_MAX, this.#credit + WEIGHT);
    this.#last_ms = this.#clock.monotonic_ms();
    this.#arm(STALLED_MS);
  }

  /** It is over. */
  end(): void {
    this.#isOn = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  get isMoving(): boolean {
    if (!this.#isOn) return false;
    this.#settle();
    return this.#credit >= CREDIT_MIN && this.#quiet_ms < STALLED_MS;
  }

  /** Whether no other catch-up should take its place: it is new, or moving. */
  get mayGoOn(): boolean {
    if (!this.#isOn) return false;
    return this.#clock.monotonic_ms() - this.#began_ms < STALLED_MS || this.isMoving;
  }

  get #quiet_ms(): number {
    return this.#clock.monotonic_ms() - this.#last_ms;
  }

  #settle(): void {
    const accepted = this.#accepted();
    this.#credit = Math.max(0, this.#credit - (accepted - this.#counted));
    this.#counted = accepted;
  }

  #arm(delay_ms: number): void {
    this.#cancel ??= this.#clock.after(delay_ms, () => {
      this.#cancel = undefined;
      if (this.#quiet_ms < STALLED_MS) this.#arm(STALLED_MS - this.#quiet_ms);
      else this.#wake();
    });
  }
}
