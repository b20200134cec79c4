import { rmSync } from 'node:fs';
import { explore } from '#test/sim/pool.ts';
import type { Outcome } from '#test/sim/run.ts';
import type { ScenarioOptions } from '#test/sim/scenario.ts';
import { patchedCopy } from './patch.ts';
import { MUTANTS } from './table.ts';
import type { Mutant } from './table.ts';

/** A bug that is not found within so many seeds is not found, if nothing else is said. */
export const SEEDS_MAX = 200;

/** How a deliberate bug was found. */
export interface Catch {
  readonly name: string;
  readonly about: string;
  /** The checker, or nothing where no run failed. */
  readonly checker: string | undefined;
  /** Seeds played until then, from `from` on. */
  readonly seeds: number;
  readonly seed: number | undefined;
}

/** Plays runs of a copy with the bug until one fails. */
export async function hunt(
  mutant: Mutant,
  root: string,
  from: number,
  workers: number,
  options: ScenarioOptions,
  runs = SEEDS_MAX,
): Promise<Catch> {
  const copy = patchedCopy(root, mutant);
  let seeds = 0;
  let found: Outcome | undefined;
  try {
    const plan = { from, runs, minutes: 60, workers, root: copy, options };
    await explore(plan, (outcome) => {
      seeds += 1;
      if (outcome.verdict !== 'pass') found ??= outcome;
      return !found;
    });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  const { name, about } = mutant;
  return { name, about, checker: found?.verdict, seeds, seed: found?.seed };
}

/** The mutants of these names; all where none is given. Throws for a name that no mutant has. */
export function mutantsOf(names: readonly string[]): readonly Mutant[] {
  const unknown = names.find((name) => !MUTANTS.some((mutant) => mutant.name === name));
  if (unknown !== undefined) throw new Error(`no mutant is called ${unknown}`);
  return names.length === 0 ? MUTANTS : MUTANTS.filter(({ name }) => names.includes(name));
}
