import type { Thresholds } from './committee.ts';

/**
 * The threshold clock (consensus.md 2.4): the round in which a node may propose. It advances when a
 * quorum of authors has blocks at the present round, and jumps when an accepted block is ahead,
 * since that block shows the quorum below.
 */
export class RoundClock {
  #round: number;
  #authors = new Set<number>();
  #entered_ms: number;
  readonly #thresholds: Thresholds;
  readonly #stakeOf: (author: number) => number;

  constructor(thresholds: Thresholds, stakeOf: (author: number) => number, round = 0, now_ms = 0) {
    this.#thresholds = thresholds;
    this.#stakeOf = stakeOf;
    this.#round = round;
    this.#entered_ms = now_ms;
  }

  get round(): number {
    return this.#round;
  }

  /**
   * When the present round was entered, on the monotonic clock: leader timeouts count from here.
   */
  get entered_ms(): number {
    return this.#entered_ms;
  }

  /** Notes an accepted block. */
  add(round: number, author: number, now_ms: number): void {
    if (round < this.#round) return;
    if (round > this.#round) this.#enter(round, now_ms);
    this.#authors.add(author);
    let stake = 0;
    for (const one of this.#authors) stake += this.#stakeOf(one);
    if (stake >= this.#thresholds.quorum) this.#enter(this.#round + 1, now_ms);
  }

  #enter(round: number, now_ms: number): void {
    this.#round = round;
    this.#authors = new Set();
    this.#entered_ms = now_ms;
  }
}
