import { partyOf } from './event.ts';
import type { Pending } from './pool.ts';
import type { Id } from './ports.ts';

/**
 * Events that wait, in the order of their arrival for each actor (by each of its keys, `partyOf`),
 * and one of each in turn over all of them: an actor with thousands delays another by one event a
 * round. Who was served goes to the end of the line.
 */
export class FairQueue {
  readonly #byParty = new Map<string, Map<Id, Pending>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(pending: Pending): void {
    const { id, event } = pending.entry;
    const queue = this.#byParty.get(partyOf(event)) ?? new Map<Id, Pending>();
    if (queue.size === 0) this.#byParty.set(partyOf(event), queue);
    if (!queue.has(id)) this.#size += 1;
    queue.set(id, pending);
  }

  /** It waits no longer; nothing happens when it did not. */
  delete({ entry: { id, event } }: Pending): void {
    const queue = this.#byParty.get(partyOf(event));
    if (!queue?.delete(id)) return;
    this.#size -= 1;
    this.#byParty.delete(partyOf(event));
    if (queue.size > 0) this.#byParty.set(partyOf(event), queue);
  }

  /** Every event, actor after actor. */
  *values(): Iterable<Pending> {
    for (const queue of this.#byParty.values()) yield* queue.values();
  }

  /**
   * Rounds of those that `isReady`, with at most one event of each actor. Nothing may change
   * meanwhile.
   */
  *rounds(isReady: (pending: Pending) => boolean): Generator<readonly Pending[]> {
    const queues = Array.from(this.#byParty.values(), (queue) => queue.values());
    for (;;) {
      const round = queues.flatMap((queue) => nextOf(queue, isReady) ?? []);
      if (round.length === 0) return;
      yield round;
    }
  }
}

function nextOf(
  queue: MapIterator<Pending>,
  isReady: (pending: Pending) => boolean,
): Pending | undefined {
  for (let next = queue.next(); !next.done; next = queue.next()) {
    if (isReady(next.value)) return next.value;
  }
  return undefined;
}
