import type { FinalEvent } from './fold.ts';
import type { Clock, Id } from './ports.ts';

/** Callers that wait for finality at once. */
const WAITERS_MAX = 100_000;

type Listener = (events: readonly FinalEvent[]) => void;

/** Who wants to hear of final events: of all, or of one and for a time. */
export class FinalWatch {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #waiters = new Map<Id, Set<(event: FinalEvent) => void>>();
  #waiting = 0;
  readonly #listeners = new Set<Listener>();

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** Resolves when the event is final; `undefined` after `timeout_ms`, or when too many wait. */
  wait(id: Id, timeout_ms: number): Promise<FinalEvent | undefined> {
    if (this.#waiting >= WAITERS_MAX) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, waiters);
      const done = (event: FinalEvent | undefined) => {
        cancel();
        waiters.delete(done);
        if (waiters.size === 0) this.#waiters.delete(id);
        this.#waiting -= 1;
        resolve(event);
      };
      const cancel = this.#clock.after(timeout_ms, () => done(undefined));
      waiters.add(done);
      this.#waiting += 1;
    });
  }

  /** Hears of final events in order; the returned function ends it. It must not throw. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** These are final and in the store. None: a snapshot took the place of a part of the log. */
  tell(events: readonly FinalEvent[]): void {
    for (const listener of this.#listeners) listener(events);
    for (const event of events) {
      for (const waiter of this.#waiters.get(event.entry.id) ?? []) waiter(event);
    }
  }
}
