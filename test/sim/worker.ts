import { play } from './run.ts';
import type { Outcome } from './run.ts';
import { scenarioOf } from './scenario.ts';
import type { ScenarioOptions } from './scenario.ts';

/** A process that plays runs, one after the other, as its parent asks. */

export interface Job {
  readonly seed: number;
  readonly options: ScenarioOptions;
}

/** The outcome of a job, or the text of what it threw. */
export type Answer = { readonly outcome: Outcome } | { readonly error: string };

function answer(message: Answer): void {
  process.send?.(message);
}

process.on('message', ({ seed, options }: Job) => {
  play(scenarioOf(seed, options)).then(
    (outcome) => answer({ outcome }),
    (error: unknown) => answer({ error: textOf(error) }),
  );
});

// a promise that nobody waits for must not fail either
process.on('unhandledRejection', (error) => {
  answer({ error: textOf(error) });
  process.exitCode = 1;
  process.disconnect?.();
});

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
