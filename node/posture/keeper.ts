import { codeOf } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { every } from '#ledger/every.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import type { Seats } from '#ledger/projection.ts';
import { rendezvous } from '#ledger/submissions.ts';
import { RankedTries } from '#node/ranked-tries.ts';
import {
  GRADES, PERIOD_MS, POINT, SEVERE_LEVEL, holds_ms, isOver,
} from '#projections/posture-grades.ts';
import {
  BASIS_MAX, ISOLATE_KIND, RECOVER_KIND, REPORT_KIND,
} from '#projections/posture-kinds.ts';
import type { PostureView } from '#projections/posture-view.ts';
import { Observations } from './observations.ts';
import type { Seen } from './observations.ts';

/** How often it looks at what is due by time alone. */
export const LOOK_MS = 1_000;
/** Commits may tell an earlier time than this node's clock: what is due waits a little longer. */
const SLACK_MS = 2_000;
/** A report that is not applied by then is made again: an idle network's commits tell old times. */
const LOST_MS = 15_000;

export interface KeeperParts {
  readonly self: Id;
  readonly clock: Clock;
  readonly log: Log;
  /** Of whom something is held, as final and by the clock's time. */
  readonly list: () => readonly PostureView[];
  readonly seats: () => Seats;
  readonly isMember: (actor: Id) => boolean;
  /** Authors a signed event as this node. */
  readonly author: (kind: string, body: Body) => Promise<unknown>;
  /** What others are given before this node does what is theirs by rank. */
  readonly fallback_ms: number;
  /** Something was authored, by kind. */
  readonly authored: (kind: string) => void;
}

/** A report that was authored: until it is final, or is taken for lost. */
interface Sent extends Seen {
  readonly to_ms: number;
  /** Monotonic. */
  readonly until_ms: number;
}

/** What is to be done with a member. */
type Step = { readonly kind: 'isolate'; readonly level: number } | { readonly kind: 'recover' };

/**
 * A validator's part in the posture of members: reports what it saw, at most once a period of each
 * member, and says when a grade is due. For that every validator is a witness of the ledger's
 * score: the first by rendezvous hash speaks at once, the next after a fallback each if nobody has,
 * so that one event is the rule.
 */
export class PostureKeeper {
  readonly observations = new Observations();
  readonly #parts: KeeperParts;
  /** Reports on their way, by member. */
  readonly #sent = new Map<Id, Sent>();
  readonly #tries: RankedTries;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#tries = new RankedTries(parts.fallback_ms);
  }

  start(): void {
    this.#cancel = every(this.#parts.clock, LOOK_MS, () => this.look());
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** Does what is due; called on final events and from time to time. Never throws. */
  look(): void {
    if (this.#isStopped) return;
    const { self, seats } = this.#parts;
    const actors = seats().validators.map(({ actor }) => actor);
    if (!actors.includes(self)) {
      // nobody counts what it would say
      this.observations.clear();
      this.#tries.keep(new Set());
      return;
    }
    const views = this.#parts.list();
    this.#report(views);
    this.#advance(views, actors);
  }

  #report(views: readonly PostureView[]): void {
    const { self, clock, isMember } = this.#parts;
    const [now_ms, wall_ms] = [clock.monotonic_ms(), clock.wall_ms()];
    for (const [actor, sent] of this.#sent) this.#settle(actor, sent, views);
    for (const actor of this.observations.actors()) {
      if (actor === self || !isMember(actor)) this.observations.forget(actor);
      const seen = this.observations.of(actor);
      if (!seen || this.#sent.has(actor)) continue;
      const last = lastOf(views, actor, self);
      if (last && wall_ms < last.at_ms + PERIOD_MS + SLACK_MS) continue;
      const from_ms = Math.max(seen.from_ms, last?.to_ms ?? 0, wall_ms - PERIOD_MS);
      if (from_ms > wall_ms) continue;
      this.#sent.set(actor, { ...seen, to_ms: wall_ms, until_ms: now_ms + LOST_MS });
      this.observations.forget(actor);
      const { what, count } = seen;
      const body = { actor: bytesOf(actor), what, count, from_ms, to_ms: wall_ms };
      void this.#author(REPORT_KIND, body, actor);
    }
  }

  #settle(actor: Id, sent: Sent, views: readonly PostureView[]): void {
    const { self, clock } = this.#parts;
    const isHeld = lastOf(views, actor, self)?.to_ms === sent.to_ms;
    if (!isHeld && clock.monotonic_ms() < sent.until_ms) return;
    this.#sent.delete(actor);
    if (!isHeld) this.observations.note(actor, sent.what, sent.count, clock.wall_ms());
  }

  #advance(views: readonly PostureView[], actors: readonly Id[]): void {
    const { self, clock } = this.#parts;
    const now_ms = clock.monotonic_ms();
    const due = new Set<string>();
    for (const view of views) {
      const step = view.actor === self ? undefined : stepOf(view, clock.wall_ms());
      if (!step) continue;
      const name = `${view.actor} ${view.grade} ${JSON.stringify(step)}`;
      due.add(name);
      const others = () => actors.filter((actor) => actor !== view.actor);
      const rank = () => rendezvous(view.actor, others()).indexOf(self);
      if (!this.#tries.isDue(name, rank, actors.length, now_ms)) continue;
      if (step.kind === 'recover') {
        const body = { actor: bytesOf(view.actor), reason: reasonOf(view), by: 'rule' };
        void this.#author(RECOVER_KIND, body, view.actor);
      } else void this.#author(ISOLATE_KIND, this.#isolation(view, step.level), view.actor);
    }
    this.#tries.keep(due);
  }

  #isolation(view: PostureView, level: number): Body {
    const ids = view.reports.flatMap((one) => one.ids.slice(-1));
    const basis = [...(view.evidence ? [view.evidence] : []), ...ids].slice(0, BASIS_MAX);
    return {
      actor: bytesOf(view.actor),
      grade: GRADES[level] ?? 'none',
      reason: reasonOf(view),
      until_ms: this.#parts.clock.wall_ms() + holds_ms(level),
      by: 'rule',
      basis: basis.map(bytesOf),
    };
  }

  /** Never rejects. */
  async #author(kind: string, body: Body, actor: Id): Promise<void> {
    const { log, author, authored } = this.#parts;
    try {
      await author(kind, body);
      authored(kind);
      log.info({ kind, actor }, 'posture of a member');
    } catch (error) {
      log.warn({ kind, actor, code: codeOf(error) }, 'posture of a member could not be told');
    }
  }
}

/** What the score says is to be done; nothing where the present grade is right. */
export function stepOf(view: PostureView, wall_ms: number): Step | undefined {
  const present = GRADES.indexOf(view.grade);
  const due = GRADES.indexOf(view.due);
  const level = due >= SEVERE_LEVEL && !view.canSpare ? SEVERE_LEVEL - 1 : due;
  if (level > present) return { kind: 'isolate', level };
  const { isolation } = view;
  if (isolation?.by !== 'rule' || !isOver(view.score, isolation.level)) return undefined;
  return wall_ms >= isolation.recovers_ms + SLACK_MS ? { kind: 'recover' } : undefined;
}

function lastOf(views: readonly PostureView[], actor: Id, reporter: Id) {
  const view = views.find((one) => one.actor === actor);
  return view?.reports.find((one) => one.reporter === reporter);
}

function reasonOf({ score, isConvicted, reports }: PostureView): string {
  const faults = [...new Set(reports.map(({ what }) => what))].toSorted();
  const all = isConvicted ? ['equivocation', ...faults] : faults;
  return `score ${Math.floor(score / POINT)}: ${all.join(', ')}`.slice(0, 256);
}
