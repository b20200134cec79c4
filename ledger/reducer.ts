import type { Event } from './event.ts';
import { JOIN_KIND } from './join.ts';
import type { Kinds } from './kinds.ts';
import { decodeNumber, encodeNumber, storeKeys } from './keys.ts';
import { LANES_MAX, REMEMBERED_EVENTS } from './limits.ts';
import type { Id, PolicyDecision } from './ports.ts';
import type {
  Isolating, KeyState, Membership, OrderedEvent, Permission, PolicyCall, Projection, Rows, Seats,
  Standing, StandingOf,
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
  /** One of `projections`, where a network grades its members. */
  readonly posture?: Projection & Isolating;
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
  | 'key_retired'
  | 'replayed'
  | 'too_many_lanes'
  | 'expired'
  | 'dep_missing'
  | 'unknown_kind'
  | 'bad_body'
>;

/** Verdicts that leave lanes as they were. */
const KEEPS_SEQ: ReadonlySet<Foreseen> = new Set(['replayed', 'too_many_lanes', 'key_retired']);

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
  readonly #posture: (Projection & Isolating) | undefined;
  /** Who hears of a kind besides its owner. */
  readonly #watchers = new Map<string, Projection[]>();
  readonly #isolated = new WeakMap<Standing, Map<string, Standing>>();
  /** The time of the question under way: isolation ends with time. */
  #now_ms = 0;
  readonly #remembered: number;
  /** What the policies said of the event that was applied last; for people, not hashed. */
  decision: PolicyDecision | undefined;

  constructor(schema: Schema, kinds: Kinds, overlay: Overlay, digests?: Digests) {
    this.kinds = kinds;
    this.#overlay = overlay;
    this.#members = schema.members;
    this.#policy = schema.policy;
    this.#posture = schema.posture;
    this.#remembered = rememberedBy(schema);
    this.#lanes = new HashedRows(overlay, (key) => key, digests?.replay);
    for (const projection of schema.projections) {
      this.#rows.set(
        projection.name,
        projectionRows(overlay, projection.name, digests?.ofProjection(projection.name)),
      );
      for (const { kind } of projection.kinds) this.#owners.set(kind, projection);
      for (const kind of projection.watches ?? []) {
        this.#watchers.set(kind, [...(this.#watchers.get(kind) ?? []), projection]);
      }
    }
  }

  rowsOf(projection: string): Rows {
    return this.#rows.get(projection) as Rows;
  }

  /**
   * Whether the event counts at all: its actor is a member and has signed with a key that is bound
   * to it, or was until it rotated; or it presents an open invite. What a revoked key signs is
   * void.
   */
  counts(event: Event): boolean {
    const state = this.keyState(event);
    if (state === 'foreign') return this.#isAdmitted(event);
    return state !== 'revoked';
  }

  #isMember(actor: Id): boolean {
    return this.#members.isMember(actor, this.rowsOf(this.#members.name));
  }

  /** Who is no member has no key but its first. */
  #isAdmitted(event: Event): boolean {
    const rows = this.rowsOf(this.#members.name);
    return event.key === undefined && this.#members.admits?.(event, rows) === true;
  }

  /** What the key of an event is to its actor; `foreign` where that is no member. */
  keyState(event: Pick<Event, 'actor' | 'key'>): KeyState {
    const { actor, key = actor } = event;
    const rows = this.rowsOf(this.#members.name);
    if (!this.#members.isMember(actor, rows)) return 'foreign';
    if (this.#members.keyState) return this.#members.keyState(actor, key, rows);
    return key === actor ? 'present' : 'foreign';
  }

  /** SHA-256 of the key that signs for an actor; `undefined` for none. */
  keyOf(actor: Id): Id | undefined {
    const rows = this.rowsOf(this.#members.name);
    if (!this.#members.isMember(actor, rows)) return undefined;
    return this.#members.keyOf ? this.#members.keyOf(actor, rows) : actor;
  }

  /** The member that a key is or was bound to. */
  actorOfKey(key: Id): Id | undefined {
    const rows = this.rowsOf(this.#members.name);
    if (this.#members.actorOfKey) return this.#members.actorOfKey(key, rows);
    return this.#members.isMember(key, rows) ? key : undefined;
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
   * nothing that the present key signs gets into an existing lane without using up a seq. But of a
   * join that was refused no seq was used, and its actor may have come by another one.
   */
  isUnused(event: Event): boolean {
    if (event.kind === JOIN_KIND) return false;
    const row = this.#lanes.get(storeKeys.lane(event.actor, event.lane));
    return row !== undefined && isFree(row, event.seq) && this.keyState(event) === 'present';
  }

  readonly #standingOf: StandingOf = (actor) => {
    const standing = this.standingOf(actor);
    const grade = standing && this.isolationOf(actor, this.#now_ms);
    return grade === undefined ? standing : this.#withGrade(standing as Standing, grade);
  };

  /** What the members' projection knows of an actor; `undefined` for no member. */
  standingOf(actor: Id): Standing | undefined {
    const rows = this.rowsOf(this.#members.name);
    if (this.#members.standing) return this.#members.standing(actor, rows);
    return this.#members.isMember(actor, rows) ? PLAIN : undefined;
  }

  /** An actor that never changed its key has that key's id. */
  readonly #holderOf = (key: Id): Id => this.actorOfKey(key) ?? key;

  readonly #seatsOf = (): Seats => this.#members.seats(this.rowsOf(this.#members.name));

  /** The grade of isolation that a member has at a time; `undefined` for none. */
  isolationOf(actor: Id, ts_ms: number): string | undefined {
    const posture = this.#posture;
    return posture?.isolationOf(actor, ts_ms, this.rowsOf(posture.name), this.#seatsOf);
  }

  /** An isolated member has two roles more: policies decide what it may do. */
  #withGrade(standing: Standing, grade: string): Standing {
    let byGrade = this.#isolated.get(standing);
    if (!byGrade) this.#isolated.set(standing, (byGrade = new Map<string, Standing>()));
    let graded = byGrade.get(grade);
    if (!graded) {
      graded = { ...standing, roles: [...standing.roles, 'isolated', `isolated.${grade}`] };
      byGrade.set(grade, graded);
    }
    return graded;
  }

  /** What the policies say of an event; `undefined` in a network that has none on its ledger. */
  permission(event: Event, ts_ms: number): PolicyDecision | undefined {
    const policy = this.#policy;
    this.#now_ms = ts_ms;
    return policy?.permits(event, ts_ms, this.rowsOf(policy.name), this.#standingOf);
  }

  /** As `permission`, for a caller of the API. */
  callPermission(call: PolicyCall, ts_ms: number): PolicyDecision | undefined {
    const policy = this.#policy;
    this.#now_ms = ts_ms;
    return policy?.permitsCall(call, ts_ms, this.rowsOf(policy.name), this.#standingOf);
  }

  /** Throws why a change of policies would not be applied now; nothing for other kinds. */
  assertPolicyFits(event: Event, ts_ms: number): void {
    const policy = this.#policy;
    this.#now_ms = ts_ms;
    policy?.assertFits(event, ts_ms, this.rowsOf(policy.name), this.#standingOf);
  }

  /** Throws why a change of the members would not be applied now; nothing for other kinds. */
  assertMembershipFits(event: Event, ts_ms: number): void {
    this.#members.assertFits?.(event, ts_ms, this.rowsOf(this.#members.name));
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
    if (this.keyState(event) === 'retired') return 'key_retired';
    if (!isFree(row, event.seq)) return 'replayed';
    if (!row && this.#laneCount(event.actor) >= LANES_MAX) return 'too_many_lanes';
    if (event.notAfter_ms !== undefined && event.notAfter_ms < ts_ms) return 'expired';
    if (event.deps?.some((id) => !this.#isApplied(id, seq))) return 'dep_missing';
    return this.kinds.check(event.kind, event.body) ?? 'applied';
  }

  /**
   * Applies an event that counts and that was not ordered before. Every verdict but `replayed`,
   * `too_many_lanes` and `key_retired` uses up the sequence number: whoever finds an old key must
   * not use up those of its owner. Of who is no member nothing is kept unless it becomes one: one
   * invite would fill the state.
   */
  apply(ordered: OrderedEvent): VerdictName {
    const { event, ts_ms, seq } = ordered;
    const row = this.#lanes.get(storeKeys.lane(event.actor, event.lane));
    const verdict = this.#judge(event, row, ts_ms, seq);
    this.decision = undefined;
    if (KEEPS_SEQ.has(verdict)) return verdict;
    const isMember = this.#isMember(event.actor);
    if (isMember) this.#use(event, row);
    if (verdict !== 'applied') return verdict;
    this.decision = this.permission(event, ts_ms);
    if (this.decision?.isAllowed === false) return 'denied';
    const owner = this.#owners.get(event.kind) as Projection;
    this.#now_ms = ts_ms;
    const rows = this.rowsOf(owner.name);
    const applied = owner.apply(ordered, rows, this.#standingOf, this.#seatsOf);
    if (applied !== 'applied') return applied;
    if (!isMember) this.#use(event, row);
    for (const watcher of this.#watchers.get(event.kind) ?? []) {
      watcher.observe?.(ordered, this.rowsOf(watcher.name), this.#holderOf);
    }
    return applied;
  }

  #use({ actor, lane, seq }: Event, row: LaneRow | undefined): void {
    if (!row) {
      this.#lanes.put(storeKeys.laneCount(actor), encodeNumber(this.#laneCount(actor) + 1));
    }
    this.#lanes.put(storeKeys.lane(actor, lane), use(row, seq));
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
