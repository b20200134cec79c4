import { Shares } from '#ledger/shares.ts';

/** Connections to the Workload API at once: of all callers, and of one party. */
export const CONNECTIONS_MAX = 512;
const CONNECTIONS_OF_PARTY_MAX = 64;
/** Of these, for root and for the node's own uid each, whatever others hold. */
const KEPT = 8;
/** Where the uids begin that users get for their namespaces, and how many one gets (subuid(5)). */
const SUB_UID_MIN = 100_000;
const SUB_UIDS = 65_536;
const ROOT_UID = 0;

/**
 * Whose bounds a uid is under: its own, or those of its block where one user may have 65,536 of
 * them in namespaces of his own.
 */
export function partyOf(uid: number): string {
  if (uid < SUB_UID_MIN) return String(uid);
  return `block ${Math.floor((uid - SUB_UID_MIN) / SUB_UIDS)}`;
}

/** A connection's place. */
interface Place {
  /** Ends the connection, to make room. */
  readonly end: () => void;
  /** Gives the place back; again: nothing. */
  readonly give: () => void;
}

/**
 * The places for connections, shared among parties (`ledger/shares.ts`). Where all are taken, who
 * has none gets one of the party that has most, if that has two or more.
 */
export class CallerRoom {
  /** Root and the node's own uid. */
  readonly #favoured: ReadonlySet<number>;
  readonly #shares = new Shares(CONNECTIONS_MAX - 2 * KEPT);
  /** By party: its places among the shared ones, the newest last. */
  readonly #places = new Map<string, Set<Place>>();
  /** By uid: how many of the kept ones it has. */
  readonly #kept = new Map<number, number>();

  constructor(ownUid: number) {
    this.#favoured = new Set([ROOT_UID, ownUid]);
  }

  /**
   * Takes a place, given back by the returned function; `undefined` where there is none. `end` is
   * called when somebody else gets it instead.
   */
  take(uid: number, end: () => void): (() => void) | undefined {
    const party = partyOf(uid);
    const held = this.#places.get(party)?.size ?? 0;
    const kept = this.#kept.get(uid) ?? 0;
    if (held + kept >= CONNECTIONS_OF_PARTY_MAX) return undefined;
    if (this.#shares.take(party)) return this.#add(party, end);
    if (this.#favoured.has(uid) && kept < KEPT) {
      this.#kept.set(uid, kept + 1);
      return once(() => this.#kept.set(uid, (this.#kept.get(uid) ?? 0) - 1));
    }
    return held === 0 && this.#makeRoom() && this.#shares.take(party)
      ? this.#add(party, end)
      : undefined;
  }

  #add(party: string, end: () => void): () => void {
    const places = this.#places.get(party) ?? new Set();
    const give = once(() => {
      places.delete(place);
      if (places.size === 0) this.#places.delete(party);
      this.#shares.give(party);
    });
    const place: Place = { end, give };
    this.#places.set(party, places.add(place));
    return give;
  }

  /** Takes the newest connection of the party that has most. */
  #makeRoom(): boolean {
    const most = [...this.#places.values()].reduce((a, b) => (b.size > a.size ? b : a), new Set());
    const place = [...most].at(-1);
    if (!place || most.size < 2) return false;
    place.give();
    place.end();
    return true;
  }
}

function once(give: () => void): () => void {
  let isGiven = false;
  return () => {
    if (isGiven) return;
    isGiven = true;
    give();
  };
}
