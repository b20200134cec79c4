import { fail } from './errors.ts';
import type { Event } from './event.ts';
import type { Clock, Id } from './ports.ts';
import type { Replica } from './replica.ts';
import { ROTATE_KIND } from './rotation.ts';

/** So long an event waits for the rotation before it: finality takes a fraction of that. */
const WAIT_MS = 5000;
const LOOK_MS = 20;
/** Events that wait at once; more are refused. */
const WAITING_MAX = 256;
/** A rotation that is not final by then may never be: the node goes on with its old key. */
const PENDING_MS_MAX = 600_000;

interface Arriving {
  readonly id: Id;
  readonly event: Event;
}

interface Rotating extends Arriving {
  readonly since_ms: number;
  /** Until it is in the pool, or was refused there. */
  isArriving: boolean;
}

/**
 * From when a node has accepted a rotation of its own key until that is final, it signs nothing new
 * with the old key: what is ordered after the rotation would get `key_retired`, though the node
 * acknowledged it.
 */
export class OwnRotation {
  readonly #replica: Replica;
  readonly #clock: Clock;
  readonly #actor: Id;
  #rotating: Rotating | undefined;
  #waiting = 0;

  constructor(replica: Replica, clock: Clock, actor: Id) {
    this.#replica = replica;
    this.#clock = clock;
    this.#actor = actor;
    for (const { entry } of replica.pool.values()) this.#note(entry, false);
  }

  /** Every event goes to the pool by this: `submit` puts it there. */
  async take(entry: Arriving, submit: () => Promise<void>): Promise<void> {
    const rotating = this.#note(entry, true);
    try {
      await submit();
    } finally {
      if (rotating) rotating.isArriving = false;
    }
  }

  #note({ id, event }: Arriving, isArriving: boolean): Rotating | undefined {
    const isOwn = event.kind === ROTATE_KIND && event.actor === this.#actor;
    if (!isOwn || this.isPending) return undefined;
    this.#rotating = { id, event, since_ms: this.#clock.monotonic_ms(), isArriving };
    return this.#rotating;
  }

  get isPending(): boolean {
    if (!this.#rotating) return false;
    const { id, event, since_ms, isArriving } = this.#rotating;
    const { pool, fold } = this.#replica;
    const isOpen =
      (isArriving || pool.get(id) !== undefined) &&
      fold.reducer.keyState(event) === 'present' &&
      this.#clock.monotonic_ms() - since_ms < PENDING_MS_MAX;
    if (!isOpen) this.#rotating = undefined;
    return isOpen;
  }

  /** Resolves when no rotation is under way; throws `key_rotating` where that takes too long. */
  async over(): Promise<void> {
    if (this.#waiting >= WAITING_MAX) refuse();
    this.#waiting += 1;
    try {
      const end_ms = this.#clock.monotonic_ms() + WAIT_MS;
      while (this.isPending) {
        if (this.#clock.monotonic_ms() >= end_ms) refuse();
        await new Promise<void>((resolve) => {
          this.#clock.after(LOOK_MS, resolve);
        });
      }
    } finally {
      this.#waiting -= 1;
    }
  }
}

function refuse(): never {
  fail('key_rotating', 'The key of this node is being changed: try again in a moment.');
}
