/**
 * How a bounded room is shared among parties that nobody counts beforehand (Choudhury and Hahne,
 * "Dynamic queue length thresholds", IEEE/ACM ToN 1998): each may hold at most `FREE_WEIGHT` times
 * what is free. One alone fills two thirds; k that ask without end get 2/(2k+1) each; there is
 * always room for one more.
 */
const FREE_WEIGHT = 2;

/** Whether a party that holds `held` has its share of a room of `max`, `used` of which is taken. */
export function hasItsShare(held: number, used: number, max: number): boolean {
  return held >= FREE_WEIGHT * (max - used);
}

/** A room of `max` places, shared by parties that come and go. */
export class Shares {
  readonly #max: number;
  readonly #held = new Map<string, number>();
  #used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether a party could take a place. */
  hasRoomFor(party: string): boolean {
    const held = this.#held.get(party) ?? 0;
    return this.#used < this.#max && !hasItsShare(held, this.#used, this.#max);
  }

  /** Takes a place; false when none is free or the party has its share. */
  take(party: string): boolean {
    if (!this.hasRoomFor(party)) return false;
    this.#held.set(party, (this.#held.get(party) ?? 0) + 1);
    this.#used += 1;
    return true;
  }

  /** Gives a place back that was taken. */
  give(party: string): void {
    const left = (this.#held.get(party) ?? 0) - 1;
    if (left < 0) return;
    if (left === 0) this.#held.delete(party);
    else this.#held.set(party, left);
    this.#used -= 1;
  }
}
