import type { FinalEvent } from '#ledger/fold.ts';
import type { Event } from '#ledger/event.ts';
import { textOf } from '#ledger/ids.ts';
import type { Clock, PolicyDecision, PolicyEntity } from '#ledger/ports.ts';
import { resourcesOf } from '#governance/policy-subjects.ts';
import { Denials, merged } from './denials.ts';
import type { ForgottenDenials } from './denials.ts';
import { entityText } from './entities.ts';

/** Where a decision was made. */
export type DecisionPlace = 'admission' | 'apply' | 'api';

/** Decisions that were equal in all but their time, as one. */
export interface DecisionRecord {
  readonly where: DecisionPlace;
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly isAllowed: boolean;
  readonly policies: readonly string[];
  readonly errors: readonly string[];
  /** How often, as far as it is remembered; of allowed ones only samples are counted. */
  readonly count: number;
  readonly first_ms: number;
  readonly last_ms: number;
  /** The last event, where there was one. */
  readonly event?: string;
}

export interface DecisionQuery {
  readonly isAllowed?: boolean;
  readonly principal?: string;
  readonly where?: DecisionPlace;
  readonly limit: number;
}

const ALLOWED_MAX = 1024;
/** One in so many allowed decisions is kept. */
const SAMPLE = 64;

interface Asked {
  readonly where: DecisionPlace;
  readonly principal: string;
  readonly action: string;
  readonly resource: () => string;
  readonly event?: string;
}

/** What policies decided on this node, in memory: it begins anew with the process. */
export class DecisionLog {
  readonly #clock: Clock;
  readonly #denials = new Denials();
  readonly #allowed = new Map<string, DecisionRecord>();
  readonly counts = { allowed: 0, denied: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An event that came to this node. */
  admission(event: Event, decision: PolicyDecision): void {
    this.#note(eventAsked('admission', event), decision);
  }

  /** Events in their final order. */
  readonly finals = (events: readonly FinalEvent[]): void => {
    for (const { entry, decision } of events) {
      if (!decision) continue;
      this.#note({ ...eventAsked('apply', entry.event), event: textOf(entry.id) }, decision);
    }
  };

  call(
    principal: PolicyEntity,
    action: string,
    resource: PolicyEntity,
    decision: PolicyDecision,
  ): void {
    const of = () => entityText(resource);
    const asked = { where: 'api', principal: entityText(principal), action, resource: of } as const;
    this.#note(asked, decision);
  }

  #note(asked: Asked, decision: PolicyDecision): void {
    const { isAllowed, reasons: policies, errors } = decision;
    const n = isAllowed ? (this.counts.allowed += 1) : (this.counts.denied += 1);
    if (isAllowed && n % SAMPLE !== 1) return;
    const { where, principal, action, event } = asked;
    const resource = asked.resource();
    const key = JSON.stringify([where, principal, action, resource, policies, errors]);
    const at_ms = this.#clock.wall_ms();
    const record: DecisionRecord = {
      where,
      principal,
      action,
      resource,
      isAllowed,
      policies,
      errors,
      count: 1,
      first_ms: at_ms,
      last_ms: at_ms,
      ...(event !== undefined && { event }),
    };
    if (isAllowed) this.#noteAllowed(key, record);
    else this.#denials.note(key, record);
  }

  #noteAllowed(key: string, record: DecisionRecord): void {
    const all = this.#allowed;
    const known = all.get(key);
    all.delete(key);
    if (all.size >= ALLOWED_MAX) {
      const [oldest = ''] = all.keys();
      all.delete(oldest);
    }
    all.set(key, known ? merged(known, record) : record);
  }

  /** The latest first. */
  list({ isAllowed, principal, where, limit }: DecisionQuery): DecisionRecord[] {
    const all = [
      ...(isAllowed === true ? [] : this.#denials.records()),
      ...(isAllowed === false ? [] : this.#allowed.values()),
    ];
    return all
      .filter((one) => principal === undefined || one.principal === principal)
      .filter((one) => where === undefined || one.where === where)
      .toSorted((a, b) => b.last_ms - a.last_ms)
      .slice(0, limit);
  }

  /** Denials that there was no room for, the latest first. */
  forgotten({ isAllowed, principal, limit }: DecisionQuery): ForgottenDenials[] {
    if (isAllowed === true) return [];
    return this.#denials
      .forgotten()
      .filter((one) => principal === undefined || one.principal === principal)
      .toSorted((a, b) => b.last_ms - a.last_ms)
      .slice(0, limit);
  }
}

function eventAsked(where: DecisionPlace, event: Event): Asked {
  const { actor, kind } = event;
  const of = (): string => {
    const [first = { type: 'Kind', id: kind }] = resourcesOf(event, () => []);
    return entityText(first);
  };
  return { where, principal: entityText({ type: 'Actor', id: actor }), action: kind, resource: of };
}
