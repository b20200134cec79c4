import type { Outcome } from './run.ts';

/** What many runs came to: the object that `--json` prints. */
export interface SimSummary {
  readonly runs: number;
  readonly passed: number;
  readonly from: number;
  readonly virtual_hours: number;
  readonly wall_s: number;
  readonly runsBySize: Readonly<Record<string, number>>;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly habits: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  readonly lost: number;
  readonly finals: number;
  readonly snapshots: Outcome['snapshots'];
  readonly blocks: number;
  readonly checkpoints: number;
  readonly receipts: number;
  /** From healing until everything was final everywhere. */
  readonly healed_ms: { readonly median: number; readonly p99: number; readonly max: number };
  /** The seeds that took longest to heal. */
  readonly slowest: readonly { readonly seed: number; readonly healed_ms: number }[];
  /** Runs with more traitors than the protocol stands, and those of them where nodes saw it. */
  readonly beyond: { readonly runs: number; readonly diverged: number; readonly noticed: number };
  /** Runs that went over the end of an epoch, epochs entered beyond the first, and why. */
  readonly epochs: {
    readonly runs: number;
    readonly entered: number;
    readonly changes: number;
    readonly returned: number;
  };
  /** Runs in which members come and go, and what became of the events about it. */
  readonly lives: { readonly runs: number; readonly events: Readonly<Record<string, number>> };
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly seed: number;
  readonly validators: number;
  readonly verdict: string;
  readonly detail: string;
  /** Plays the run again, made smaller. */
  readonly command: string;
}

function add(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
}

function sorted(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Adds outcomes up as they come. */
export class Tally {
  readonly #outcomes: Outcome[] = [];
  readonly #from: number;
  readonly #started_ms = performance.now();

  constructor(from: number) {
    this.#from = from;
  }

  get runs(): number {
    return this.#outcomes.length;
  }

  add(outcome: Outcome): void {
    this.#outcomes.push(outcome);
  }

  get failed(): readonly Outcome[] {
    return this.#outcomes.filter(({ verdict }) => verdict !== 'pass');
  }

  summary(failures: readonly Failure[]): SimSummary {
    const all = this.#outcomes;
    const [faults, habits, verdicts, sizes, lives]: Record<string, number>[] = [{}, {}, {}, {}, {}];
    for (const outcome of all) {
      add(faults ?? {}, outcome.faults);
      add(habits ?? {}, outcome.habits);
      add(lives ?? {}, outcome.lives);
      add(verdicts ?? {}, { [outcome.verdict]: 1 });
      add(sizes ?? {}, { [outcome.validators]: 1 });
    }
    const sum = (of: (outcome: Outcome) => number): number =>
      all.reduce((total, outcome) => total + of(outcome), 0);
    const healed = all.flatMap(({ healed_ms }) => healed_ms ?? []).toSorted((a, b) => a - b);
    const slowest = all
      .flatMap(({ seed, healed_ms = 0 }) => ({ seed, healed_ms }))
      .toSorted((a, b) => b.healed_ms - a.healed_ms)
      .slice(0, 5);
    const at = (share: number): number => healed[Math.floor((healed.length - 1) * share)] ?? 0;
    const beyond = all.filter(({ isBeyond }) => isBeyond);
    const hasDiverged = ({ findings }: Outcome): boolean =>
      findings.some(({ checker }) => checker === 'diverged');
    return {
      runs: all.length,
      passed: all.length - this.failed.length,
      from: this.#from,
      virtual_hours: Math.round(sum(({ virtual_ms }) => virtual_ms) / 36_000) / 100,
      wall_s: Math.round((performance.now() - this.#started_ms) / 1000),
      runsBySize: sorted(sizes ?? {}),
      verdicts: sorted(verdicts ?? {}),
      faults: sorted(faults ?? {}),
      habits: sorted(habits ?? {}),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      lost: sum(({ lost }) => lost),
      finals: sum(({ finals }) => finals),
      snapshots: {
        installed: sum(({ snapshots }) => snapshots.installed),
        interrupted: sum(({ snapshots }) => snapshots.interrupted),
        rowsPruned: sum(({ snapshots }) => snapshots.rowsPruned),
        commitsPruned: sum(({ snapshots }) => snapshots.commitsPruned),
      },
      blocks: sum(({ blocks }) => blocks),
      checkpoints: sum(({ checkpoints }) => checkpoints),
      receipts: sum(({ receipts }) => receipts),
      healed_ms: { median: at(0.5), p99: at(0.99), max: at(1) },
      slowest,
      beyond: {
        runs: beyond.length,
        diverged: beyond.filter(hasDiverged).length,
        noticed: beyond.filter((one) => hasDiverged(one) && one.isNoticed).length,
      },
      epochs: {
        runs: all.filter(({ epochs }) => epochs > 0).length,
        entered: sum(({ epochs }) => epochs),
        changes: sum(({ changes }) => changes),
        returned: sum(({ returned }) => returned),
      },
      lives: {
        runs: all.filter((one) => Object.keys(one.lives).length > 0).length,
        events: sorted(lives ?? {}),
      },
      failures,
    };
  }
}
