import type { FinalEvent } from '#ledger/fold.ts';
import type { Id } from '#ledger/ports.ts';
import { DENIALS, DENIED } from '#test/sim/lives/rules.ts';

/**
 * What policies and posture make of members, told a second time: denials of the forms that runs
 * draw, and grades as docs/zero-trust.md says. Points are reckoned without their decay, so a score
 * here is never too low.
 */

const GRADES = ['none', 'monitored', 'rate_limited', 'restricted', 'quarantined', 'blocked'];
/** Points from which on each grade is due, and hours that a rule's holds at most. */
const THRESHOLDS = [0, 10, 25, 50, 75, 95];
const HOURS = [0, 1, 1, 1, 2, 2];
const HOUR_MS = 3_600_000;
const ORDERED_MS_MAX = 30 * 24 * HOUR_MS;
/** From here on nothing but the own membership is left. */
const MUTE_LEVEL = 3;
const SEVERE_LEVEL = 4;
const CONVICTION = 100;

interface Version {
  readonly texts: ReadonlyMap<string, string>;
  readonly roles: ReadonlyMap<string, readonly string[]>;
}

interface Grade {
  readonly level: number;
  readonly until_ms: number;
  readonly byRule: boolean;
  /** What an operator ordered, under a grade by rule. */
  readonly floor?: { readonly level: number; readonly until_ms: number } | undefined;
}

interface Bodies {
  readonly id: string;
  readonly text: string;
  readonly principal: string;
  readonly roles: readonly string[];
  readonly version: number;
  readonly actor: Uint8Array;
  readonly grade: string;
  readonly until_ms: number;
  readonly by: string;
  readonly what: string;
  readonly count: number;
}

/** Of whom and what a write is. */
export interface Writing {
  readonly actor: Id;
  readonly key: string;
  readonly labels: readonly string[];
  readonly isSeated: boolean;
  readonly ts_ms: number;
}

/** What of policies and roles is compared: the shipped ones stay. */
export function standingOf(
  texts: ReadonlyMap<string, string>,
  roles: ReadonlyMap<string, readonly string[]>,
): string {
  const own = [...texts].filter(([id]) => id.startsWith('sim.'));
  const given = [...roles].filter(([, some]) => some.length > 0);
  return JSON.stringify([...own, ...given].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export class RulesModel {
  readonly #versions: Version[] = [{ texts: new Map(), roles: new Map() }];
  readonly #grades = new Map<Id, Grade>();
  /** Points by member and reporter. */
  readonly #reports = new Map<Id, Map<Id, number>>();
  readonly #convictions = new Map<Id, number>();
  readonly #report: (detail: string) => void;

  constructor(report: (detail: string) => void) {
    this.#report = report;
  }

  get #now(): Version {
    return this.#versions.at(-1) as Version;
  }

  /** Policies of a run's own and roles, as they stand, in one text. */
  get standing(): string {
    const { texts, roles } = this.#now;
    return standingOf(texts, roles);
  }

  /** Whether a write is denied as things stand. */
  denies({ actor, key, labels, isSeated, ts_ms }: Writing): boolean {
    const { texts, roles } = this.#now;
    const matches: Readonly<Record<string, boolean>> = {
      'sim.role': roles.get(actor)?.includes(DENIED.role) === true,
      'sim.prefix': key.startsWith(DENIED.prefix),
      'sim.seat': isSeated,
      'sim.label': labels.includes(DENIED.label),
    };
    for (const { id, text } of DENIALS) {
      const held = texts.get(id);
      if (held === undefined) continue;
      if (matches[id] ?? held === text(actor)) return true;
    }
    return this.#levelOf(actor, ts_ms) >= MUTE_LEVEL;
  }

  #levelOf(actor: Id, ts_ms: number): number {
    const grade = this.#grades.get(actor);
    if (!grade) return 0;
    if (grade.until_ms > ts_ms) return grade.level;
    return grade.floor && grade.floor.until_ms > ts_ms ? grade.floor.level : 0;
  }

  convict(actor: Id): void {
    this.#convictions.set(actor, (this.#convictions.get(actor) ?? 0) + 1);
  }

  /** An event that was applied; `seated` sit in its epoch's committee. */
  take({ seq, entry: { event }, ts_ms }: FinalEvent, seated: readonly Id[]): void {
    const { kind } = event;
    const body = event.body as unknown as Bodies;
    const { texts, roles } = this.#now;
    switch (kind) {
      case 'policy.put/1':
        this.#versions.push({ roles, texts: new Map(texts).set(body.id, body.text) });
        return;
      case 'policy.delete/1':
        this.#versions.push({ roles, texts: new Map([...texts].filter(([id]) => id !== body.id)) });
        return;
      case 'policy.assign/1':
        this.#versions.push({ texts, roles: new Map(roles).set(body.principal, body.roles) });
        return;
      case 'policy.rollback/1': {
        const version = this.#versions[body.version];
        if (version) this.#versions.push(version);
        else this.#report(`event ${seq} goes back to version ${body.version}, which never was`);
        return;
      }
      case 'posture.report/1': {
        if (!seated.includes(event.actor)) this.#report(`event ${seq} reports without a seat`);
        const held = this.#reports.get(body.actor.toHex()) ?? new Map<Id, number>();
        const points = (held.get(event.actor) ?? 0) + Math.min(20, 10 * body.count);
        this.#reports.set(body.actor.toHex(), held.set(event.actor, points));
        return;
      }
      case 'posture.isolate/1':
        this.#isolate(seq, body, ts_ms, seated);
        return;
      case 'posture.recover/1':
        this.#recover(seq, body, ts_ms);
        return;
      default:
    }
  }

  #isolate(seq: number, body: Bodies, ts_ms: number, seated: readonly Id[]): void {
    const actor = body.actor.toHex();
    const level = GRADES.indexOf(body.grade);
    const byRule = body.by === 'rule';
    const text = `event ${seq} makes somebody ${body.grade}`;
    const faulty = Math.floor((seated.length - 1) / 3);
    if (byRule && this.#score(actor, faulty, seated) < (THRESHOLDS[level] ?? 0)) {
      this.#report(`${text}, which too few validators say`);
    }
    if (level <= Math.min(this.#levelOf(actor, ts_ms), MUTE_LEVEL - 1)) {
      this.#report(`${text}, who was no better before`);
    }
    const before = this.#grades.get(actor);
    const isHeld = before !== undefined && before.until_ms > ts_ms;
    const ordered = isHeld && !before.byRule ? before : before?.floor;
    const floor = ordered && ordered.until_ms > ts_ms ? ordered : undefined;
    const most_ms = byRule ? (HOURS[level] ?? 0) * HOUR_MS : ORDERED_MS_MAX;
    const longer = byRule ? (isHeld && before.byRule ? before : undefined) : floor;
    const until_ms = Math.max(
      Math.min(body.until_ms, ts_ms + most_ms),
      longer?.until_ms ?? 0,
    );
    this.#grades.set(actor, { level, until_ms, byRule, ...(byRule && { floor }) });
    const others = seated.filter(
      (one) => one !== actor && this.#levelOf(one, ts_ms) >= SEVERE_LEVEL,
    );
    if (level >= SEVERE_LEVEL && seated.includes(actor) && others.length >= faulty) {
      this.#report(`${text}, and no quorum is left beside ${others.length + 1} of these`);
    }
  }

  /** At least what the ledger may say: what enough of those who sit hold against a member. */
  #score(actor: Id, faulty: number, seated: readonly Id[]): number {
    const held = [...(this.#reports.get(actor) ?? [])]
      .filter(([reporter]) => seated.includes(reporter) && reporter !== actor)
      .map(([, points]) => points)
      .toSorted((a, b) => b - a);
    const support = Math.max(2, faulty + 1);
    return (held[support - 1] ?? 0) + CONVICTION * (this.#convictions.get(actor) ?? 0);
  }

  #recover(seq: number, body: Bodies, ts_ms: number): void {
    const actor = body.actor.toHex();
    const grade = this.#grades.get(actor);
    const present = this.#levelOf(actor, ts_ms);
    if (!grade || present === 0) this.#report(`event ${seq} lowers a grade that nobody has`);
    if (!grade) return;
    const level = present - 1;
    const { floor } = grade;
    const isLower = floor && floor.until_ms > ts_ms && floor.level >= level;
    if (level === 0) this.#grades.delete(actor);
    else this.#grades.set(actor, isLower ? { ...floor, byRule: false } : { ...grade, level });
  }
}
