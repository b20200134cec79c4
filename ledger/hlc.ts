/**
 * A hybrid logical clock (Kulkarni et al., 2014): milliseconds and a counter, so that what a node
 * says later never looks earlier, even when its wall clock goes back.
 */
export type Hlc = readonly [number, number];

const COUNTER_MAX = 0xffff;
/**
 * Others' times further ahead than this count as this far ahead when pending events are ordered
 * (wire.md, "Event").
 */
export const AHEAD_MS_MAX = 500;

export class HybridClock {
  #last: Hlc = [0, 0];

  /** The next stamp, greater than all before. */
  next(wall_ms: number): Hlc {
    const [ms, counter] = this.#last;
    if (wall_ms > ms) this.#last = [wall_ms, 0];
    else this.#last = counter < COUNTER_MAX ? [ms, counter + 1] : [ms + 1, 0];
    return this.#last;
  }
}

/** A stamp as the receiver sorts by it. */
export function clamp([ms, counter]: Hlc, wall_ms: number): Hlc {
  const most = wall_ms + AHEAD_MS_MAX;
  return ms > most ? [most, 0] : [ms, counter];
}

export function compareHlc(a: Hlc, b: Hlc): number {
  return a[0] - b[0] || a[1] - b[1];
}
