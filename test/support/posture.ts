import { encode } from '#ledger/codec.ts';
import type { Event } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { Seats, Standing } from '#ledger/projection.ts';
import { idOf } from '#ledger/ids.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import type { Fault, Grade } from '#projections/posture-grades.ts';
import { PERIOD_MS } from '#projections/posture-grades.ts';
import { listPosture, readPosture } from '#projections/posture-view.ts';
import type { PostureView } from '#projections/posture-view.ts';
import { posture } from '#projections/posture.ts';
import { MapRows, actorOf } from './policy.ts';

export const START_MS = 1_700_000_000_000;
export const BOSS = actorOf('boss');

/** The projection over rows in memory, with a committee, an operator and a clock set by hand. */
export class PostureBench {
  readonly rows = new MapRows();
  readonly validators: readonly Id[];
  /** Further members. */
  readonly members: Id[] = [actorOf('observer')];
  now_ms = START_MS;
  #committee: readonly Id[];
  #seq = 0;

  constructor(size: number) {
    this.validators = Array.from({ length: size }, (_, i) => actorOf(`v${i}`));
    this.#committee = this.validators;
  }

  /** The first `size` validators sit. */
  seat(size: number): void {
    this.#committee = this.validators.slice(0, size);
  }

  seats = (): Seats => ({
    epoch: 0,
    validators: this.#committee.map((actor) => ({
      actor,
      coseKey: bytesOf(actor),
      peer: actor,
      stake: 1,
    })),
  });

  standingOf = (actor: Id): Standing | undefined => {
    if (actor === BOSS) return { roles: ['operator'], labels: [] };
    return this.validators.includes(actor) || this.members.includes(actor)
      ? { roles: [], labels: [] }
      : undefined;
  };

  apply(kind: string, body: object, actor: Id): { verdict: VerdictName; id: Id } {
    const seq = (this.#seq += 1);
    const event = { chain: '', actor, lane: 0, seq, kind, body, hlc: [0, 0] } as unknown as Event;
    const id = idOf(encode([seq, bytesOf(actor)]));
    const ordered = { id, event, seq, ts_ms: this.now_ms };
    return { verdict: posture.apply(ordered, this.rows, this.standingOf, this.seats), id };
  }

  report(reporter: Id, subject: Id, what: Fault = 'invalid_message', count = 100): VerdictName {
    const body = { actor: bytesOf(subject), what, count, from_ms: this.now_ms, to_ms: this.now_ms };
    return this.apply('posture.report/1', body, reporter).verdict;
  }

  /**
   * Evidence against a validator, by a key that it had: it is found by that, whatever its present
   * one is. Whether it is kept.
   */
  convict(author: Id, subject: Id): boolean {
    const seq = (this.#seq += 1);
    const body = { key: bytesOf(subject) };
    const kind = 'evidence.equivocation/1';
    const event = { chain: '', actor: author, lane: 0, seq, kind, body, hlc: [0, 0] };
    const id = idOf(encode([seq, bytesOf(author)]));
    const ordered = { id, event: event as unknown as Event, seq, ts_ms: this.now_ms };
    const holderOf = (key: Id): Id => (key === idOf(bytesOf(subject)) ? subject : key);
    posture.observe?.(ordered, this.rows, holderOf);
    return this.view(subject)?.isConvicted === true;
  }

  /** `rounds` periods in which every reporter says the worst. */
  accuse(reporters: readonly Id[], subject: Id, rounds: number): void {
    for (let round = 0; round < rounds; round += 1) {
      this.now_ms += PERIOD_MS;
      for (const reporter of reporters) this.report(reporter, subject);
    }
  }

  /** Everything that is held against it. */
  basisOf(subject: Id): Uint8Array[] {
    const view = this.view(subject);
    const reports = view?.reports.map(({ ids }) => bytesOf(ids.at(-1) as Id)) ?? [];
    return [...reports, ...(view?.evidence ? [bytesOf(view.evidence)] : [])];
  }

  isolate(author: Id, subject: Id, grade: Grade, over: object = {}): VerdictName {
    const body = {
      actor: bytesOf(subject),
      grade,
      reason: 'score',
      until_ms: this.now_ms + 3_600_000,
      by: author === BOSS ? 'operator' : 'rule',
      ...(author !== BOSS && { basis: this.basisOf(subject) }),
      ...over,
    };
    return this.apply('posture.isolate/1', body, author).verdict;
  }

  recover(author: Id, subject: Id): VerdictName {
    const by = author === BOSS ? 'operator' : 'rule';
    const body = { actor: bytesOf(subject), reason: 'score', by };
    return this.apply('posture.recover/1', body, author).verdict;
  }

  view(subject: Id): PostureView | undefined {
    return readPosture(this.rows, subject, this.seats(), this.now_ms);
  }

  grade(subject: Id): Grade {
    return this.view(subject)?.grade ?? 'none';
  }

  list(): readonly PostureView[] {
    return listPosture(this.rows, this.seats(), this.now_ms);
  }
}
