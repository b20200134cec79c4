/** Over all actors; with their texts some 20 MB at worst. */
const NONCES_MAX = 200_000;
/** Of one actor: over a window of 40 s some 1,000 signed requests a second. */
const NONCES_PER_ACTOR_MAX = 40_000;

/** `full`: no more is remembered, so no more is taken. `late`: its second was forgotten already. */
export type NonceAnswer = 'fresh' | 'used' | 'full' | 'full_for_actor' | 'late';

export interface NonceBounds {
  readonly total_max: number;
  readonly perActor_max: number;
}

/**
 * What was used, by the second in which it says that it was made: a second is forgotten once no
 * signature of it is taken any more, and nothing of a forgotten second is taken ever again,
 * whatever the clock does. Nothing can be made to be forgotten earlier: when too much is
 * remembered, nothing more is taken.
 */
export class Nonces {
  readonly #bounds: NonceBounds;
  readonly #bySecond = new Map<number, Map<string, Set<string>>>();
  readonly #ofActor = new Map<string, number>();
  #count = 0;
  #forgotten_s = -Infinity;

  constructor(bounds: Partial<NonceBounds> = {}) {
    this.#bounds = { total_max: NONCES_MAX, perActor_max: NONCES_PER_ACTOR_MAX, ...bounds };
  }

  /** `oldest_s`: signatures that were made before this second are not taken any more. */
  take(actor: string, nonce: string, created_s: number, oldest_s: number): NonceAnswer {
    this.#forget(oldest_s);
    if (created_s <= this.#forgotten_s) return 'late';
    const used = this.#bySecond.get(created_s)?.get(actor);
    if (used?.has(nonce)) return 'used';
    const ofActor = this.#ofActor.get(actor) ?? 0;
    if (ofActor >= this.#bounds.perActor_max) return 'full_for_actor';
    if (this.#count >= this.#bounds.total_max) return 'full';
    this.#setOf(created_s, actor).add(nonce);
    this.#ofActor.set(actor, ofActor + 1);
    this.#count += 1;
    return 'fresh';
  }

  #setOf(created_s: number, actor: string): Set<string> {
    let second = this.#bySecond.get(created_s);
    if (!second) this.#bySecond.set(created_s, (second = new Map<string, Set<string>>()));
    let used = second.get(actor);
    if (!used) second.set(actor, (used = new Set<string>()));
    return used;
  }

  /** At most as many seconds as the window has, or as a clock has jumped over. */
  #forget(oldest_s: number): void {
    if (oldest_s - 1 <= this.#forgotten_s) return;
    this.#forgotten_s = oldest_s - 1;
    for (const [second, actors] of this.#bySecond) {
      if (second > this.#forgotten_s) continue;
      this.#bySecond.delete(second);
      for (const [actor, used] of actors) {
        this.#count -= used.size;
        const left = (this.#ofActor.get(actor) ?? 0) - used.size;
        if (left > 0) this.#ofActor.set(actor, left);
        else this.#ofActor.delete(actor);
      }
    }
  }
}
