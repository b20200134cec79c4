import type { DecisionRecord } from './decision-log.ts';

/** Different denials at once; equal ones are one. */
const DENIED_MAX = 4096;
/** Principals of each kind with a room of their own: at least four denials each. */
const ROOMS_MAX = 512;

/** Denials that are only counted any more. */
export interface ForgottenDenials {
  /** Empty for all together that have no room any more. */
  readonly principal: string;
  /** Authors that events claimed, whose signatures nobody looked at. */
  readonly isClaimed: boolean;
  readonly count: number;
  readonly last_ms: number;
}

type Counted = Pick<ForgottenDenials, 'count' | 'last_ms'>;

interface Room {
  /** The oldest first. */
  readonly records: Map<string, DecisionRecord>;
  forgotten: Counted;
}

/** Rooms by their principals, who was denied last at the end. */
interface Rooms {
  readonly isClaimed: boolean;
  readonly of: Map<string, Room>;
  /** Of principals that have none any more. */
  forgotten: Counted;
}

const NONE: Counted = { count: 0, last_ms: 0 };

/**
 * Denials of many principals in bounded room. Where it is full, whoever holds most of it gives its
 * oldest, which stays in its count: so nobody pushes out what few denials of others there are.
 * Where principals are too many, the one whose last denial is the oldest gives its room. What
 * events claim at admission is apart from what their authors did, with rooms of its own: anybody
 * can make those.
 */
export class Denials {
  readonly #claimed: Rooms = { isClaimed: true, of: new Map(), forgotten: NONE };
  readonly #proved: Rooms = { isClaimed: false, of: new Map(), forgotten: NONE };
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
    for (const { records } of this.#rooms()) yield* records.values();
  }

  forgotten(): ForgottenDenials[] {
    return [this.#claimed, this.#proved]
      .flatMap(({ isClaimed, of, forgotten: others }) => [
        ...[...of].map(([principal, { forgotten }]) => ({ principal, isClaimed, ...forgotten })),
        { principal: '', isClaimed, ...others },
      ])
      .filter(({ count }) => count > 0);
  }

  *#rooms(): Iterable<Room> {
    yield* this.#claimed.of.values();
    yield* this.#proved.of.values();
  }

  #roomOf({ where, principal }: DecisionRecord): Room {
    const rooms = where === 'admission' ? this.#claimed : this.#proved;
    const room = rooms.of.get(principal) ?? { records: new Map(), forgotten: NONE };
    rooms.of.delete(principal);
    if (rooms.of.size >= ROOMS_MAX) this.#giveBackOne(rooms);
    rooms.of.set(principal, room);
    return room;
  }

  #giveBackOne(rooms: Rooms): void {
    const [oldest] = rooms.of;
    if (!oldest) return;
    const [principal, { records, forgotten }] = oldest;
    rooms.of.delete(principal);
    this.#size -= records.size;
    const counts = [rooms.forgotten, forgotten, ...records.values()];
    rooms.forgotten = {
      count: counts.reduce((sum, { count }) => sum + count, 0),
      last_ms: Math.max(...counts.map(({ last_ms }) => last_ms)),
    };
  }

  /** `own` gives where nobody has more. */
  #forgetOne(own: Room): void {
    let most = own;
    for (const room of this.#rooms()) {
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
