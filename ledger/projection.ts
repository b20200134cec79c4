import type { Validator } from './committee.ts';
import type { Event } from './event.ts';
import type { Genesis } from './genesis.ts';
import type { KindSpec } from './kinds.ts';
import type { Id, PolicyDecision, PolicyEntity, PolicyValue } from './ports.ts';
import type { VerdictName } from './verdicts.ts';

/**
 * The rows of one projection. Keys are texts; what is put is kept by reference, so it is not
 * changed afterwards.
 */
export interface Rows {
  get(key: string): Uint8Array | undefined;
  put(key: string, value: Uint8Array): void;
  remove(key: string): void;
}

/** An event in its final place. */
export interface OrderedEvent {
  readonly id: Id;
  readonly event: Event;
  /** Place in the final log, from 1. In the `accepted` view: the place that it would get. */
  readonly seq: number;
  /** The time of the commit, milliseconds since the Unix epoch: the only time a reducer sees. */
  readonly ts_ms: number;
}

/**
 * One reducer over the final log. It reads and writes its own rows only, and no clock, file, socket
 * or entropy; so it can be dropped and rebuilt from the log. Its rows change in the same atomic
 * batch as the commit.
 */
export interface Projection {
  readonly name: string;
  /** Raised when the same log would give other rows. */
  readonly version: number;
  readonly kinds: readonly KindSpec[];
  /** Puts the rows that hold before the first event. */
  start(genesis: Genesis, rows: Rows): void;
  /**
   * Applies one event of its kinds, whose body fits the schema. Anything but `applied` leaves the
   * rows as they were. `standingOf` tells what the members' projection knows of an actor, `seatsOf`
   * the committee.
   */
  apply(
    ordered: OrderedEvent,
    rows: Rows,
    standingOf?: StandingOf,
    seatsOf?: () => Seats,
  ): VerdictName;
  /** Kinds of other projections whose applied events it hears of. */
  readonly watches?: readonly string[];
  /**
   * An event of `watches` was applied; it may change the own rows, and has no say. `holderOf` tells
   * whose a key is or was, by the key's id.
   */
  observe?(ordered: OrderedEvent, rows: Rows, holderOf: (key: Id) => Id): void;
}

/** What policies may know of a member. The same object as long as nothing of it changes. */
export interface Standing {
  /** E.g. `validator`, `operator`. */
  readonly roles: readonly string[];
  readonly labels: readonly string[];
}

/** `undefined`: no member. */
export type StandingOf = (actor: Id) => Standing | undefined;

/** A question that is not put by an event: what a caller of a node's API wants to do. */
export interface PolicyCall {
  readonly principal: PolicyEntity;
  readonly action: string;
  readonly resource: PolicyEntity;
  /** What is known besides the time: `operation` of a call, `onBehalfOf` of an event. */
  readonly context: Readonly<Record<string, PolicyValue>>;
}

/** What the fold asks of the projection that knows the policies. */
export interface Permission {
  /** The engine's version; a genesis names it. */
  readonly engine: string;
  /** Whether the event may be applied now. `ts_ms`: the commit's time; at admission the clock's. */
  permits(
    event: Pick<Event, 'actor' | 'onBehalfOf' | 'kind' | 'body'>,
    ts_ms: number,
    rows: Pick<Rows, 'get'>,
    standingOf: StandingOf,
  ): PolicyDecision;
  /** Whether a caller may do what it asks for. */
  permitsCall(
    call: PolicyCall,
    ts_ms: number,
    rows: Pick<Rows, 'get'>,
    standingOf: StandingOf,
  ): PolicyDecision;
  /**
   * Throws the coded error that tells why an event of its kinds would not be applied now, for its
   * author; nothing for other kinds.
   */
  assertFits(
    event: Event,
    ts_ms: number,
    rows: Pick<Rows, 'get'>,
    standingOf: StandingOf,
  ): void;
}

/** What the fold asks of the projection that knows who is isolated. */
export interface Isolating {
  /** The grade of isolation that an actor has at a time; `undefined` for none. */
  isolationOf(
    actor: Id,
    ts_ms: number,
    rows: Pick<Rows, 'get'>,
    seatsOf: () => Seats,
  ): string | undefined;
}

/** A committee as state: who sits in it from which epoch on. */
export interface Seats {
  readonly epoch: number;
  /** In the order of their author indexes. */
  readonly validators: readonly Validator[];
}

/**
 * What a key is to a member: the one that signs for it now; one that it has rotated away; one that
 * is revoked; or none that ever was its own.
 */
export type KeyState = 'present' | 'retired' | 'revoked' | 'foreign';

/** What the fold asks of the projection that knows the members. */
export interface Membership {
  /** Whether events of this actor count. */
  isMember(actor: Id, rows: Pick<Rows, 'get'>): boolean;
  /**
   * SHA-256 of the key that signs for an actor now; `undefined` for no member, and for one whose
   * key is revoked. Where a projection does not say, it is the inception key.
   */
  keyOf?(actor: Id, rows: Pick<Rows, 'get'>): Id | undefined;
  /** What a key, by its SHA-256, is to a member. */
  keyState?(actor: Id, key: Id, rows: Pick<Rows, 'get'>): KeyState;
  /** The member that a key is or was bound to; `undefined` for a key that is nobody's. */
  actorOfKey?(key: Id, rows: Pick<Rows, 'get'>): Id | undefined;
  /**
   * Called after the last event of every commit that has any. Where this commit changes the
   * committee it makes the new one the next epoch's and returns true: the commit is the last of its
   * epoch (consensus.md 2.10). `authors`: whose blocks the commit orders, by their indexes.
   */
  endCommit(rows: Rows, authors: ReadonlySet<number>): boolean;
  /** Whether evidence of equivocation against an author of an epoch is recorded. */
  isConvicted(epoch: number, author: number, rows: Pick<Rows, 'get'>): boolean;
  /**
   * Whether an event of somebody who is no member counts all the same: it presents an open invite.
   * Its proof is part of its validity.
   */
  admits?(event: Event, rows: Pick<Rows, 'get'>): boolean;
  /**
   * Throws the coded error that tells why an event of its kinds would not be applied now, for its
   * author; nothing for other kinds.
   */
  assertFits?(event: Event, ts_ms: number, rows: Pick<Rows, 'get'>): void;
  /** What policies may know of a member; a projection without it says only who is one. */
  standing?(actor: Id, rows: Pick<Rows, 'get'>): Standing | undefined;
  /** The committee of the epoch in which the next commit stands. */
  seats(rows: Pick<Rows, 'get'>): Seats;
}
