import { FORGERIES } from '#test/sim/byzantine/habits.ts';
import { randomOf } from './random.ts';
import type { Traitor } from './scenario.ts';
import type { World } from './world.ts';

/**
 * Checkpoints in runs: a run is shorter than the time between two periodic cuts, so nodes cut where
 * the log stands now and then, as they do by themselves when it is quiet.
 */

/** How often each node cuts its log by its own choice; not at all in some runs. */
export function drawCutting(seed: number): { readonly cut_ms?: number } {
  const cut_ms = randomOf(seed, 'cutting').pick([0, 150, 400, 1000]);
  return cut_ms === 0 ? {} : { cut_ms };
}

/** Some traitors forge votes or certificates beside what else they do. */
export function withForgers(seed: number, traitors: readonly Traitor[]): Traitor[] {
  const random = randomOf(seed, 'forgers');
  return traitors.map(({ author, habits }) => {
    const more = random.chance(0.5) ? random.some(FORGERIES, random.between(1, 2)) : [];
    return { author, habits: [...habits, ...more] };
  });
}

/** Sets the timers; each node has its own moment, and all of them when it is one of a few. */
export function beginCutting(world: World): void {
  const { cut_ms, seed } = world.scenario;
  if (cut_ms === undefined) return;
  const random = randomOf(seed, 'cutting moments');
  const isTogether = random.chance(0.5);
  for (const { index } of world.nodes) {
    const offset_ms = isTogether ? 0 : random.below(cut_ms);
    const cut = (): void => {
      if (world.isHealing) return;
      world.coreOf(index)?.replica.cutIdle();
      world.clock.after(cut_ms, cut);
    };
    world.clock.after(cut_ms + offset_ms, cut);
  }
}

/** Whether every honest node holds a certificate over all that is final. */
export function isCertified({ honest }: World): boolean {
  return honest.every(({ core }) => {
    const { size = 0 } = core?.certifier.latest?.checkpoint ?? {};
    return core !== undefined && size >= core.replica.fold.size;
  });
}

/** What is certified at whom, for people. */
export function certifiedOf({ honest }: World): string {
  const nodes = honest.map(({ core, name }) => {
    const size = core?.certifier.latest?.checkpoint.size ?? 0;
    return `${name}: ${size} of ${core?.replica.fold.size ?? 0}`;
  });
  return `events certified: ${nodes.join(', ')}`;
}
