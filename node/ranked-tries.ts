interface Case {
  /** Monotonic time of the next try. */
  due_ms: number;
  tries: number;
}

/** Trying one thing ends after so many times, each after twice the pause. */
const TRIES_MAX = 6;

/**
 * What is due for every validator and is to be done by one: the first in an order speaks at once,
 * the next after a fallback each if nobody has. Whoever's turn it was and who sees that it is still
 * to be done tries again, more and more rarely, and not for ever.
 */
export class RankedTries {
  readonly #fallback_ms: number;
  readonly #cases = new Map<string, Case>();

  constructor(fallback_ms: number) {
    this.#fallback_ms = fallback_ms;
  }

  /**
   * Whether this node is to do what `name` says now; true counts as a try. The rank, in fallbacks,
   * is asked for once for each name; pauses are longer than `count` others have theirs.
   */
  isDue(name: string, rank: () => number, count: number, now_ms: number): boolean {
    let one = this.#cases.get(name);
    if (!one) {
      one = { due_ms: now_ms + rank() * this.#fallback_ms, tries: 0 };
      this.#cases.set(name, one);
    }
    if (now_ms < one.due_ms || one.tries >= TRIES_MAX) return false;
    one.tries += 1;
    one.due_ms = now_ms + count * this.#fallback_ms * 2 ** one.tries;
    return true;
  }

  /** Forgets what is not to be done any more. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#cases.keys()) if (!names.has(name)) this.#cases.delete(name);
  }
}
