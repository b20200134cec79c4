import type { Clock } from '#ledger/ports.ts';

const MIB = 1024 * 1024;
/** Bytes of programs that are hashed for one party: at once, and in the long run. */
const BURST_BYTES = 1024 * MIB;
const BYTES_PER_S = 16 * MIB;
/** Opening a file costs something, too. */
const LEAST_BYTES = MIB;

interface Level {
  left: number;
  at_ms: number;
}

/**
 * How much may be hashed for each party. A program whose time stamp is changed is hashed anew, so
 * that whoever does this to his own large one would keep the node busy otherwise. Who has anything
 * left may have a whole program hashed, and waits for longer afterwards.
 */
export class HashBudget {
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #max: number;
  readonly #levels = new Map<string, Level>();

  /** `max`: parties that are told apart; who was not heard of for longest is forgotten. */
  constructor(clock: Pick<Clock, 'monotonic_ms'>, max: number) {
    this.#clock = clock;
    this.#max = max;
  }

  /** False where nothing is left. */
  take(party: string, bytes: number): boolean {
    const now_ms = this.#clock.monotonic_ms();
    const level = this.#levels.get(party) ?? { left: BURST_BYTES, at_ms: now_ms };
    const gained = ((now_ms - level.at_ms) / 1000) * BYTES_PER_S;
    level.left = Math.min(BURST_BYTES, level.left + gained);
    level.at_ms = now_ms;
    this.#levels.delete(party);
    this.#levels.set(party, level);
    const [oldest] = this.#levels.keys();
    if (this.#levels.size > this.#max && oldest !== undefined) this.#levels.delete(oldest);
    if (level.left <= 0) return false;
    level.left -= Math.max(bytes, LEAST_BYTES);
    return true;
  }
}
