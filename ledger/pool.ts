import { fail } from './errors.ts';
import type { Entry } from './event.ts';
import type { Id } from './ports.ts';

/** Bounds of the pool; a node may choose them (`node/config.ts`). */
export interface PoolLimits {
  readonly events_max: number;
  readonly bytes_max: number;
  /** Events of one actor: a flood by one leaves room for the others. */
  readonly eventsPerActor_max: number;
}

/** An accepted event that is not final. */
export interface Pending {
  readonly entry: Entry;
  /** The COSE_Key of a signed entry; an unsigned one needs none. */
  readonly coseKey: Uint8Array | undefined;
  /** Submitted to or authored by this node: it goes into the next own block. */
  readonly isOwn: boolean;
  /** When this node carries it all the same if no block has it by then; monotonic milliseconds. */
  readonly due_ms: number;
}

/**
 * The accepted events that are not final yet. An event is either waiting for a block or carried by
 * one; when the block falls below the horizon it waits again, and when the event is final it
 * leaves. Holds no other state and no clock.
 */
export class Pool {
  readonly #limits: PoolLimits;
  readonly #all = new Map<Id, Pending>();
  /** Own events that no accepted block carries, in the order of their arrival. */
  readonly #own = new Map<Id, Pending>();
  /** Others' events that no accepted block carries. */
  readonly #others = new Map<Id, Pending>();
  /** Which pending event holds (actor, lane, seq). */
  readonly #slots = new Map<string, Id>();
  readonly #perActor = new Map<Id, number>();
  #bytes = 0;
  #version = 0;

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#all.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Grows with every change: what was computed from the pool at another version is stale. */
  get version(): number {
    return this.#version;
  }

  get(id: Id): Pending | undefined {
    return this.#all.get(id);
  }

  values(): Iterable<Pending> {
    return this.#all.values();
  }

  /**
   * Takes an event up. Returns false when it is known. Throws `slot_pending` when another pending
   * event has the same actor, lane and seq, `actor_quota` or `pool_full` when there is no room.
   */
  add(pending: Pending): boolean {
    const { entry } = pending;
    const { id, event } = entry;
    if (this.#all.has(id)) return false;
    const slot = slotOf(entry);
    const holder = this.#slots.get(slot);
    if (holder !== undefined) {
      fail(
        'slot_pending',
        'Another event of this actor waits with the same lane and seq: take the next seq.',
        {
          lane: event.lane,
          seq: event.seq,
          pending: holder,
        },
      );
    }
    const ofActor = this.#perActor.get(event.actor) ?? 0;
    if (ofActor >= this.#limits.eventsPerActor_max) {
      fail(
        'actor_quota',
        'This actor has too many events that are not final: wait for some of them.',
        { pending: ofActor },
      );
    }
    const bytes = this.#bytes + entry.bytes.length;
    if (this.#all.size >= this.#limits.events_max || bytes > this.#limits.bytes_max) {
      fail(
        'pool_full',
        'This node holds as many events that are not final as it may: send again later.',
        {
          pending: this.#all.size,
        },
      );
    }
    this.restore(pending);
    return true;
  }

  /**
   * Takes up what was promised before, whatever the bounds are now: at a restart, and when a block
   * is lost. Nothing happens when it is known.
   */
  restore(pending: Pending): void {
    const { entry, isOwn } = pending;
    const { id, event } = entry;
    if (this.#all.has(id)) return;
    const slot = slotOf(entry);
    this.#all.set(id, pending);
    if (!this.#slots.has(slot)) this.#slots.set(slot, id);
    this.#perActor.set(event.actor, (this.#perActor.get(event.actor) ?? 0) + 1);
    this.#bytes += entry.bytes.length;
    (isOwn ? this.#own : this.#others).set(id, pending);
    this.#version += 1;
  }

  /** An accepted block carries the event. */
  carried(id: Id): void {
    this.#own.delete(id);
    this.#others.delete(id);
  }

  /** The block that carried it is lost: it waits again. Unknown ids are ignored. */
  released(id: Id): void {
    const pending = this.#all.get(id);
    if (pending) (pending.isOwn ? this.#own : this.#others).set(id, pending);
  }

  /** It is final, or can never be. */
  remove(id: Id): void {
    const pending = this.#all.get(id);
    if (!pending) return;
    this.carried(id);
    this.#all.delete(id);
    const slot = slotOf(pending.entry);
    if (this.#slots.get(slot) === id) this.#slots.delete(slot);
    const { actor } = pending.entry.event;
    const left = (this.#perActor.get(actor) ?? 1) - 1;
    if (left === 0) this.#perActor.delete(actor);
    else this.#perActor.set(actor, left);
    this.#bytes -= pending.entry.bytes.length;
    this.#version += 1;
  }

  /** Own events that wait for a block. */
  get ownWaiting(): number {
    return this.#own.size;
  }

  /** Events that wait for a block, own ones first. */
  get waiting(): number {
    return this.#own.size + this.#others.size;
  }

  /** Signed events that wait for a block: what peers may be told of. */
  *waitingSigned(): Iterable<Pending> {
    for (const waiting of [this.#own, this.#others]) {
      for (const pending of waiting.values()) if (pending.coseKey) yield pending;
    }
  }

  /** Others' events that no accepted block carries. */
  get others(): Iterable<Pending> {
    return this.#others.values();
  }

  /** The earliest time at which another's event is due here; `undefined` when none waits. */
  nextDue_ms(): number | undefined {
    let next: number | undefined;
    for (const { due_ms } of this.#others.values()) {
      if (next === undefined || due_ms < next) next = due_ms;
    }
    return next;
  }

  /** What may go into a block now: own events, then others' that are due. */
  *ready(now_ms: number): Iterable<Pending> {
    yield* this.#own.values();
    for (const pending of this.#others.values()) {
      if (pending.due_ms <= now_ms) yield pending;
    }
  }
}

function slotOf({ event }: Entry): string {
  return `${event.actor}/${event.lane}/${event.seq}`;
}
