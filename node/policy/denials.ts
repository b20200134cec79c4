import type { DecisionRecord } from './decision-log.ts';

/** Different denials at once; equal ones are one. */
const DENIED_MAX = 4096;
/** Principals with a room of their own: at least four denials each. */
const ROOMS_MAX = 1024;
/** The room of all principals that come after those. */
const LATE = '';

/** Denials that are only counted any more. */
export interface ForgottenDenials {
  /** Empty for all together that had no room of their own. */
  readonly principal: string;
  /** Authors that events claimed, whose signatures nobody looked at. */
  readonly isClaimed: boolean;
  readonly count: number;
  readonly last_ms: number;
}

interface Room {
  readonly isClaimed: boolean;
  readonly principal: string;
  /** The oldest first. */
  readonly records: Map<string, DecisionRecord>;
  forgotten: { readonly count: number; readonly last_ms: number };
}

/**
 * Denials of many principals in bounded room. Where it is full, whoever holds most of it gives its
 * oldest, which stays in its count: so nobody pushes out what few denials of others there are.
 * What events claim at admission is apart from what their authors did: anybody can make those.
 */
export class Denials {
  readonly #rooms = new Map<string, Room>();
  #size = 0;

  note(key: string, record: DecisionRecord): void {
    const room = this.#roomOf(record);
    const known = room.records.get(key);
    if (known) {
      room.records.delete(key);
      room.records.set(key, merged(known, record));
      return;
    }
    room.records.set(key, record);
    this.#size += 1;
    if (this.#size > DENIED_MAX) this.#forgetOne(room);
  }

  *records(): Iterable<DecisionRecord> {
    for (const { records } of this.#rooms.values()) yield* records.values();
  }

  forgotten(): ForgottenDenials[] {
    return [...this.#rooms.values()]
      .filter(({ forgotten }) => forgotten.count > 0)
      .map(({ principal, isClaimed, forgotten }) => ({ principal, isClaimed, ...forgotten }));
  }

  #roomOf({ where, principal }: DecisionRecord): Room {
    const isClaimed = where === 'admission';
    const own = `${isClaimed ? 'claimed' : 'proved'} ${principal}`;
    const name = this.#rooms.has(own) || this.#rooms.size < ROOMS_MAX ? own : LATE;
    let room = this.#rooms.get(name);
    if (!room) {
      const whose = name === own ? { principal, isClaimed } : { principal: '', isClaimed: false };
      room = { ...whose, records: new Map(), forgotten: { count: 0, last_ms: 0 } };
      this.#rooms.set(name, room);
    }
    return room;
  }

  /** `own` gives where nobody has more. */
  #forgetOne(own: Room): void {
    let most = own;
    for (const room of this.#rooms.values()) {
      if (room.records.size > most.records.size) most = room;
    }
    const [oldest] = most.records;
    if (!oldest) return;
    const [key, { count, last_ms }] = oldest;
    most.records.delete(key);
    most.forgotten = { count: most.forgotten.count + count, last_ms };
    this.#size -= 1;
  }
}

/** A decision that was made before and again. */
export function merged(known: DecisionRecord, again: DecisionRecord): DecisionRecord {
  return { ...again, count: known.count + 1, first_ms: known.first_ms };
}
