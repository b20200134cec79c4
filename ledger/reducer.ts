import type { Event } from './event.ts';
import { signingKeyId } from './event.ts';
import type { Kinds } from './kinds.ts';
import { decodeNumber, encodeNumber, storeKeys } from './keys.ts';
import { LANES_MAX, REMEMBERED_EVENTS } from './limits.ts';
import type { Id, PolicyDecision } from './ports.ts';
import type {
  Membership, OrderedEvent, Permission, PolicyCall, Projection, Rows, StandingOf,
} from './projection.ts';
import { isFree, topOf, use } from './replay.ts';
import type { LaneRow } from './replay.ts';
import { HashedRows, projectionRows } from './rows.ts';
import type { Overlay } from './rows.ts';
import type { StateHash } from './state-hash.ts';
import { VERDICTS } from './verdicts.ts';
import type { VerdictName } from './verdicts.ts';

/** The active projections, and which of them knows the members. */
export interface Schema {
  /** Sorted by name. */
  readonly projections: readonly Projection[];
  /** One of `projections`. */
  readonly members: Projection & Membership;
  /** One of `projections`, where a network has policies on its ledger. */
  readonly policy?: Projection & Permission;
  /** `REMEMBERED_EVENTS`, unless a test has less. */
  readonly remembered?: number;
}

/** How many of the last final events repetitions and dependencies are looked up among. */
export function rememberedBy({ remembered = REMEMBERED_EVENTS }: Schema): number {
  return remembered;
}

/** A member of whom nothing more is known. */
const PLAIN = { roles: [], labels: [] };

/** What is judged before an event's own projection is asked. */
export type Foreseen = Extract<
  VerdictName,
  | 'applied'
  | 'replayed'
  | 'too_many_lanes'
  | 'expired'
  | 'dep_missing'
  | 'unknown_kind'
  | 'bad_body'
>;

/** The digests that changes go into; none for a view that is thrown away. */
export interface Digests {
  readonly replay: StateHash;
  readonly ofProjection: (name: string) => StateHash;
}

/**
 * What one event does to the state, in final order or in the `accepted` view: the same code over
 * different overlays. Decides from committed facts only.
 */
export class Reducer {
  readonly kinds: Kinds;
  readonly #overlay: Overlay;
  readonly #lanes: Rows;
  readonly #rows = new Map<string, Rows>();
  readonly #owners = new Map<string, Projection>();
  readonly #members: Projection & Membership;
  readonly #policy: (Projection & Permission) | undefined;
  readonly #remembered: number;
  /** What the policies said of the event that was applied last; for people, not hashed. */
  decision: PolicyDecision | undefined;

  constructor(schema: Schema, kinds: Kinds, overlay: Overlay, digests?: Digests) {
    this.kinds = kinds;
    this.#overlay = overlay;
    this.#members = schema.members;
    this.#policy = schema.policy;
    this.#remembered = rememberedBy(schema);
    this.#lanes = new HashedRows(overlay, (key) => key, digests?.replay);
    for (const projection of schema.projections) {
      this.#rows.set(
        projection.name,
        projectionRows(overlay, projection.name, digests?.ofProjection(projection.name)),
      );
      for (const { kind } of projection.kinds) this.#owners.set(kind, projection);
    }
  }

  rowsOf(projection: string): Rows {
    return this.#rows.get(projection) as Rows;
  }

  /**
   * Whether the event counts at all: its actor is a member and has signed with a key that is bound
   * to it.
   */
  counts(event: Event): boolean {
    return (
      signingKeyId(event) === event.actor &&
      this.#members.isMember(event.actor, this.rowsOf(this.#members.name))
    );
  }

  /** Whether events of an actor count. */
  isMember(actor: Id): boolean {
    return this.#members.isMember(actor, this.rowsOf(this.#members.name));
  }

  /** Highest used sequence number of a lane, or -1. */
  topOfLane(actor: Id, lane: number): number {
    const row = this.#lanes.get(storeKeys.lane(actor, lane));
    return row ? topOf(row) : -1;
  }

  /** Whether its actor, lane and seq were not used. */
  isFree({ actor, lane, seq }: Event): boolean {
    return isFree(this.#lanes.get(storeKeys.lane(actor, lane)), seq);
  }

  /**
   * Whether its lane exists and its seq was not used: then it is not in the final log, since
   * nothing gets into an existing lane without using up a seq.
   */
  isUnused({ actor, lane, seq }: Event): boolean {
    const row = this.#lanes.get(storeKeys.lane(actor, lane));
    return row !== undefined && isFree(row, seq);
  }

  readonly #standingOf: StandingOf = (actor) => {
    const rows = this.rowsOf(this.#members.name);
    if (this.#members.standing) return this.#members.standing(actor, rows);
    return this.#members.isMember(actor, rows) ? PLAIN : undefined;
  };

  /** What the policies say of an event; `undefined` in a network that has none on its ledger. */
  permission(event: Event, ts_ms: number): PolicyDecision | undefined {
    const policy = this.#policy;
    return policy?.permits(event, ts_ms, this.rowsOf(policy.name), this.#standingOf);
  }

  /** As `permission`, for a caller of the API. */
  callPermission(call: PolicyCall, ts_ms: number): PolicyDecision | undefined {
    const policy = this.#policy;
    return policy?.permitsCall(call, ts_ms, this.rowsOf(policy.name), this.#standingOf);
  }

  /** Throws why a change of policies would not be applied now; nothing for other kinds. */
  assertPolicyFits(event: Event, ts_ms: number): void {
    const policy = this.#policy;
    policy?.assertFits(event, ts_ms, this.rowsOf(policy.name), this.#standingOf);
  }

  /** The verdict that the event would get now, without its own projection's say. */
  foresee(event: Event, ts_ms: number): Foreseen {
    const row = this.#lanes.get(storeKeys.lane(event.actor, event.lane));
    return this.#judge(event, row, ts_ms, 0);
  }

  /**
   * The number of a final event among the last `REMEMBERED_EVENTS` before number `seq`. What lies
   * further back counts as never seen, whether this node still has it or not.
   */
  remembers(id: Id, seq: number): number | undefined {
    const row = this.#overlay.get(storeKeys.finalOfEvent(id));
    const found = row && decodeNumber(row);
    return found !== undefined && found + this.#remembered >= seq ? found : undefined;
  }

  /** `row` is the window of the event's lane; none where the event opens the lane. */
  #judge(event: Event, row: LaneRow | undefined, ts_ms: number, seq: number): Foreseen {
    if (!isFree(row, event.seq)) return 'replayed';
    if (!row && this.#laneCount(event.actor) >= LANES_MAX) return 'too_many_lanes';
    if (event.notAfter_ms !== undefined && event.notAfter_ms < ts_ms) return 'expired';
    if (event.deps?.some((id) => !this.#isApplied(id, seq))) return 'dep_missing';
    return this.kinds.check(event.kind, event.body) ?? 'applied';
  }

  /**
   * Applies an event that counts and that was not ordered before. Every verdict but `replayed` and
   * `too_many_lanes` uses up the sequence number.
   */
  apply(ordered: OrderedEvent): VerdictName {
    const { event, ts_ms, seq } = ordered;
    const lane = storeKeys.lane(event.actor, event.lane);
    const row = this.#lanes.get(lane);
    const verdict = this.#judge(event, row, ts_ms, seq);
    this.decision = undefined;
    if (verdict === 'replayed' || verdict === 'too_many_lanes') return verdict;
    if (!row) {
      const count = encodeNumber(this.#laneCount(event.actor) + 1);
      this.#lanes.put(storeKeys.laneCount(event.actor), count);
    }
    this.#lanes.put(lane, use(row, event.seq));
    if (verdict !== 'applied') return verdict;
    this.decision = this.permission(event, ts_ms);
    if (this.decision?.isAllowed === false) return 'denied';
    const owner = this.#owners.get(event.kind) as Projection;
    return owner.apply(ordered, this.rowsOf(owner.name), this.#standingOf);
  }

  #laneCount(actor: Id): number {
    const row = this.#lanes.get(storeKeys.laneCount(actor));
    return row ? decodeNumber(row) : 0;
  }

  #isApplied(id: Id, seq: number): boolean {
    const found = this.remembers(id, seq);
    const row = found === undefined ? undefined : this.#overlay.get(storeKeys.final(found));
    // the verdict stands after the id's 32 bytes
    return (
      row !== undefined &&
      new DataView(row.buffer, row.byteOffset).getUint16(32) === VERDICTS.applied
    );
  }
}
