import type { Fault } from './faults.ts';
import { randomOf } from './random.ts';
import type { Scenario } from './scenario.ts';
import { steadyNet } from './stories.ts';

/** Runs about checkpoints, each with its share of the seeds: below `upTo`, not below the last. */
const TALES: readonly {
  readonly upTo: number;
  draw(seed: number, validators: number): Scenario;
}[] = [
  { upTo: 0.015, draw: longRun },
  { upTo: 0.045, draw: diverged },
  { upTo: 0.08, draw: forged },
];
/** Two periodic cuts after the first one. */
const LONG_MS = 24_000;

/** The story of this seed, if it tells one. */
export function checkpointStory(seed: number, validators: number): Scenario | undefined {
  if (validators < 2 || validators > 7) return undefined;
  const tale = randomOf(seed, 'checkpoint stories').next();
  return TALES.find(({ upTo }) => tale < upTo)?.draw(seed, validators);
}

/**
 * Few events over a long time: the log is cut again and again by the times of commits. Of the votes
 * many are lost.
 */
export function longRun(seed: number, validators: number): Scenario {
  const net = steadyNet(seed, validators);
  const { length } = net.load;
  const load = net.load.map((op, i) => ({ ...op, at_ms: Math.floor((LONG_MS * i) / length) }));
  const link = { ...net.link, loss: randomOf(seed, 'long run').pick([0.2, 0.4]) };
  return { ...net, load, link, duration_ms: LONG_MS, config: {} };
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

/** As many forgers as are tolerated; nodes that were away ask them for checkpoints. */
export function forged(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'forged');
  const net = steadyNet(seed, validators);
  const authors = Array.from({ length: validators }, (_, author) => author);
  const traitors = random
    .some(authors, Math.floor((validators - 1) / 3))
    .map((author) => ({ author, habits: ['forgedVotes', 'forgedCertificates'] as const }));
  const honest = authors.filter((author) => traitors.every((one) => one.author !== author));
  const faults = Array.from({ length: random.between(6, 12) }, (): Fault => {
    const kind = random.pick(['partition', 'kill', 'power'] as const);
    const at_ms = random.below(net.duration_ms - 500);
    const nodes = [random.pick(honest)];
    return { kind, at_ms, for_ms: random.between(50, 400), nodes, amount: 0 };
  });
  const sorted = faults.toSorted((a, b) => a.at_ms - b.at_ms);
  return { ...net, traitors, faults: sorted, cut_ms: random.pick([150, 400]) };
}
