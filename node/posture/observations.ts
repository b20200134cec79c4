import type { Id } from '#ledger/ports.ts';
import { pointsOf } from '#p2p/index.ts';
import { FAULTS } from '#projections/posture-grades.ts';
import type { Fault } from '#projections/posture-grades.ts';

/** Members that something is held of at once; of further ones nothing is noted. */
const MEMBERS_MAX = 256;
/** From so many points on a code of `p2p/score.ts` stands for what no honest node sends. */
const BROKEN_POINTS = 20;
/** Load makes honest peers do it: so many refusals count as one fault. */
const REFUSALS_OF_FLOOD = 40;

const FLOODING: ReadonlySet<string> = new Set(['rate_limited', 'gossip_overload']);
const ABSENCE: ReadonlySet<string> = new Set(['request_timeout', 'request_stalled']);

/** Says only that a message was refused: its own code was held against the peer as well. */
const TWICE = 'gossip_rejected';

/** What a code of a penalty says of a peer; `undefined` where honest peers show it, too. */
export function faultOf(code: string): Fault | undefined {
  if (code === TWICE) return undefined;
  if (FLOODING.has(code)) return 'flooding';
  if (ABSENCE.has(code)) return 'unreachable';
  return pointsOf(code) >= BROKEN_POINTS ? 'invalid_message' : undefined;
}

/** What was seen of one member since its last report. */
export interface Seen {
  readonly what: Fault;
  readonly count: number;
  readonly from_ms: number;
}

interface Row {
  readonly counts: Map<Fault, number>;
  readonly from_ms: number;
}

/** What this node saw members do and has not reported yet. */
export class Observations {
  readonly #rows = new Map<Id, Row>();

  /** A fault of a linked peer, by the code of its penalty. */
  penalised(actor: Id, code: string, now_ms: number): void {
    const what = faultOf(code);
    if (what === undefined) return;
    this.note(actor, what, what === 'flooding' ? 1 / REFUSALS_OF_FLOOD : 1, now_ms);
  }

  note(actor: Id, what: Fault, count: number, now_ms: number): void {
    let row = this.#rows.get(actor);
    if (!row) {
      if (this.#rows.size >= MEMBERS_MAX) return;
      this.#rows.set(actor, (row = { counts: new Map(), from_ms: now_ms }));
    }
    row.counts.set(what, (row.counts.get(what) ?? 0) + count);
  }

  actors(): Id[] {
    return [...this.#rows.keys()];
  }

  /** What weighs most of it; `undefined` where it is not a whole fault yet. */
  of(actor: Id): Seen | undefined {
    const row = this.#rows.get(actor);
    if (!row) return undefined;
    const weights = [...row.counts].map(([what, count]) => {
      const whole = Math.min(1_000_000, Math.floor(count));
      return { what, count: whole, weight: whole * FAULTS[what] };
    });
    const [first] = weights.toSorted((a, b) => b.weight - a.weight);
    if (!first || first.count === 0) return undefined;
    return { what: first.what, count: first.count, from_ms: row.from_ms };
  }

  forget(actor: Id): void {
    this.#rows.delete(actor);
  }

  clear(): void {
    this.#rows.clear();
  }
}
