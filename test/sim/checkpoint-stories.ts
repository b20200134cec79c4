import { randomOf } from './random.ts';
import type { Scenario } from './scenario.ts';
import { steadyNet } from './stories.ts';

/** Runs about checkpoints, with a share of the seeds of their own. */
const SHARE = 0.05;
/** Two periodic cuts after the first one. */
const LONG_MS = 24_000;

/** The story of this seed, if it tells one. */
export function checkpointStory(seed: number, validators: number): Scenario | undefined {
  const random = randomOf(seed, 'checkpoint stories');
  if (validators < 2 || validators > 7) return undefined;
  const draw = random.next();
  if (draw >= SHARE) return undefined;
  return draw < SHARE / 4 ? longRun(seed, validators) : diverged(seed, validators);
}

/** Few events over a long time: the log is cut again and again by the times of commits. */
export function longRun(seed: number, validators: number): Scenario {
  const net = steadyNet(seed, validators);
  const { length } = net.load;
  const load = net.load.map((op, i) => ({ ...op, at_ms: Math.floor((LONG_MS * i) / length) }));
  return { ...net, load, duration_ms: LONG_MS, config: {} };
}

/** One node computes another state than the rest. */
export function diverged(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'diverged');
  const net = steadyNet(seed, validators);
  const defect = {
    node: random.below(validators),
    kind: random.pick(['fold', 'row'] as const),
    at_ms: random.between(300, 3000),
    key: `k${random.below(6)}`,
  };
  return { ...net, defect, cut_ms: random.pick([150, 400, 1000]) };
}
