import type { Committee } from './committee.ts';
import type { Clock, Log } from './ports.ts';

/**
 * A step of the wall clock against the monotonic one that is no drift any more (wire.md, "Clocks").
 */
const STEP_MS_MAX = 5000;
/** What peers said of the time is good for this long. */
const FRESH_MS = 10_000;

/**
 * Stops a proposer whose wall clock stepped: its timestamps would move commit times and with them
 * leases and closings. It goes on when validators with a quorum of stake, itself among them, tell a
 * time within the bound; alone in its committee it is that quorum. A restart confirms the clock,
 * unless a validator that is heard before the first block tells another time: one block from the
 * far future would keep all later ones of its author waiting for it.
 */
export class ClockGuard {
  readonly #clock: Clock;
  #committee: Committee;
  #self: number;
  readonly #log: Log;
  #offset_ms: number;
  #isSuspect = false;
  /** Whether it was held against what others tell since the start. */
  #isCompared = false;
  /** By author: how far ahead of the own monotonic clock its wall clock is, and when it said so. */
  readonly #told = new Map<number, { readonly offset_ms: number; readonly at_ms: number }>();

  constructor(clock: Clock, committee: Committee, self: number, log: Log) {
    this.#clock = clock;
    this.#committee = committee;
    this.#self = self;
    this.#log = log;
    this.#offset_ms = this.#now();
  }

  /** The node sits in another committee now; what the former one told is forgotten. */
  sit(committee: Committee, self: number): void {
    this.#committee = committee;
    this.#self = self;
    this.#told.clear();
  }

  #now(): number {
    return this.#clock.wall_ms() - this.#clock.monotonic_ms();
  }

  /** Whether the clock is in doubt: for the status. */
  get isSuspect(): boolean {
    return this.#isSuspect;
  }

  /** A validator told its wall clock. */
  note(author: number, wall_ms: number): void {
    const at_ms = this.#clock.monotonic_ms();
    this.#told.set(author, { offset_ms: wall_ms - at_ms, at_ms });
  }

  /** Whether a block may carry the wall clock's time now. */
  maySeal(): boolean {
    const offset_ms = this.#now();
    const step_ms = offset_ms - this.#offset_ms;
    this.#offset_ms = offset_ms;
    if (Math.abs(step_ms) > STEP_MS_MAX) {
      this.#isSuspect = true;
      this.#log.error(
        { step_ms: Math.round(step_ms) },
        'the wall clock stepped: sealing waits until peers confirm it',
      );
    }
    this.#compare(offset_ms);
    if (this.#isSuspect && this.#isConfirmed(offset_ms)) {
      this.#isSuspect = false;
      this.#log.info({}, 'a quorum confirms the wall clock');
    }
    return !this.#isSuspect;
  }

  /** Once after the start, as soon as somebody has told a time. */
  #compare(offset_ms: number): void {
    if (this.#isCompared) return;
    const told = this.#fresh();
    if (told.length === 0) return;
    this.#isCompared = true;
    if (told.every(([, theirs_ms]) => isNear(theirs_ms, offset_ms))) return;
    this.#isSuspect = true;
    this.#log.error({}, 'peers tell another time: sealing waits until a quorum confirms the clock');
  }

  /** What validators told lately: author and offset. */
  #fresh(): [author: number, offset_ms: number][] {
    const since_ms = this.#clock.monotonic_ms() - FRESH_MS;
    return [...this.#told].flatMap(([author, { offset_ms, at_ms }]) =>
      at_ms >= since_ms ? [[author, offset_ms]] : [],
    );
  }

  #isConfirmed(offset_ms: number): boolean {
    const agreeing = new Set([this.#self]);
    for (const [author, theirs_ms] of this.#fresh()) {
      if (isNear(theirs_ms, offset_ms)) agreeing.add(author);
    }
    return this.#committee.stakeOf(agreeing) >= this.#committee.quorum;
  }
}

function isNear(a_ms: number, b_ms: number): boolean {
  return Math.abs(a_ms - b_ms) <= STEP_MS_MAX;
}
