import { fail } from './errors.ts';
import { partyOf } from './event.ts';
import type { Entry } from './event.ts';
import { FairQueue } from './fair-queue.ts';
import type { Id } from './ports.ts';
import { hasItsShare } from './shares.ts';

/** Bounds of the pool; a node may choose them (`node/config.ts`). */
export interface PoolLimits {
  readonly events_max: number;
  readonly bytes_max: number;
  /** Events of one actor by one key. The fuller the pool, the fewer: see `shares.ts`. */
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

interface Held {
  events: number;
  bytes: number;
}

const NOTHING: Held = { events: 0, bytes: 0 };

/**
 * The accepted events that are not final yet. An event is either waiting for a block or carried by
 * one; when the block falls below the horizon it waits again, and when the event is final it
 * leaves. Holds no other state and no clock.
 */
export class Pool {
  readonly #limits: PoolLimits;
  readonly #all = new Map<Id, Pending>();
  /** Own events that no accepted block carries. */
  readonly #own = new FairQueue();
  /** Others' events that no accepted block carries. */
  readonly #others = new FairQueue();
  /** Which pending event holds (actor, key, lane, seq): of two keys the ledger applies one. */
  readonly #slots = new Map<string, Id>();
  /** By actor and key (`partyOf`). */
  readonly #perParty = new Map<string, Held>();
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
   * event has the same actor, key, lane and seq, `actor_quota` or `pool_full` when there is no
   * room.
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
    this.assertRoom(entry);
    this.restore(pending);
    return true;
  }

  /**
   * Throws `actor_quota` when the actor holds what it may, `pool_full` when there is no room for
   * anybody.
   */
  assertRoom({ event, bytes: { length } }: Pick<Entry, 'event' | 'bytes'>): void {
    const { events_max, bytes_max, eventsPerActor_max } = this.#limits;
    const held = this.#perParty.get(partyOf(event)) ?? NOTHING;
    if (held.events >= eventsPerActor_max) refuseActor(held);
    if (this.#all.size >= events_max || this.#bytes + length > bytes_max) {
      fail(
        'pool_full',
        'This node holds as many events that are not final as it may: send again later.',
        { pending: this.#all.size },
      );
    }
    if (
      hasItsShare(held.events, this.#all.size, events_max) ||
      hasItsShare(held.bytes, this.#bytes, bytes_max)
    ) {
      refuseActor(held);
    }
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
    const held = this.#perParty.get(partyOf(event)) ?? NOTHING;
    const bytes = held.bytes + entry.bytes.length;
    this.#perParty.set(partyOf(event), { events: held.events + 1, bytes });
    this.#bytes += entry.bytes.length;
    (isOwn ? this.#own : this.#others).add(pending);
    this.#version += 1;
  }

  /** An accepted block carries the event. */
  carried(id: Id): void {
    const pending = this.#all.get(id);
    if (pending) (pending.isOwn ? this.#own : this.#others).delete(pending);
  }

  /** The block that carried it is lost: it waits again. Unknown ids are ignored. */
  released(id: Id): void {
    const pending = this.#all.get(id);
    if (pending) (pending.isOwn ? this.#own : this.#others).add(pending);
  }

  /** It is final, or can never be. */
  remove(id: Id): void {
    const pending = this.#all.get(id);
    if (!pending) return;
    this.carried(id);
    this.#all.delete(id);
    const slot = slotOf(pending.entry);
    if (this.#slots.get(slot) === id) this.#slots.delete(slot);
    const { event, bytes: { length } } = pending.entry;
    const { events, bytes } = this.#perParty.get(partyOf(event)) ?? NOTHING;
    if (events <= 1) this.#perParty.delete(partyOf(event));
    else this.#perParty.set(partyOf(event), { events: events - 1, bytes: bytes - length });
    this.#bytes -= length;
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

  /**
   * Signed events that wait for a block: what peers may be told of. Own ones first, of each actor
   * in turn.
   */
  *waitingSigned(): Iterable<Pending> {
    for (const waiting of [this.#own, this.#others]) {
      for (const round of waiting.rounds(({ coseKey }) => coseKey !== undefined)) yield* round;
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

  /**
   * What may go into a block now: one own event of each actor, then one of each actor among others'
   * that are due, and so on.
   */
  *ready(now_ms: number): Iterable<Pending> {
    const own = this.#own.rounds(() => true);
    const others = this.#others.rounds(({ due_ms }) => due_ms <= now_ms);
    for (;;) {
      const rounds = [own.next(), others.next()];
      for (const { value } of rounds) if (value) yield* value;
      if (rounds.every(({ done }) => done)) return;
    }
  }
}

function refuseActor({ events, bytes }: Held): never {
  fail(
    'actor_quota',
    'This actor has its share of what this node may hold: wait until some of it is final.',
    { pending: events, bytes },
  );
}

function slotOf({ event }: Entry): string {
  return `${partyOf(event)}/${event.lane}/${event.seq}`;
}
