import { FAULTS } from './faults.ts';
import type { Fault, FaultName } from './faults.ts';
import type { LoadOp } from './load.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';

/**
 * Scenarios in which the committee changes: observers come into it, validators leave it, and faults
 * hit just then. Safe by this rule: where b validators may fail in any way, 2b + 1 others never
 * leave. A committee with all of those and some of the b, and with whoever else, has no more than f
 * of them, and a quorum that is alive after healing, in whatever order changes become final and
 * whatever evidence removes. Two stay at least: where one is left alone its clock is the network's,
 * and who follows it waits for a time that a step has set.
 */

/** The share of seeds whose committee changes beside all else that is drawn. */
const SHARE = 0.2;

/** What is hit around the end of an epoch. */
export const NEAR: readonly FaultName[] = [
  'powerAtEpoch',
  'powerAtEpoch',
  'powerAtEpoch',
  'powerAtEpoch',
  'partition',
  'partition',
  'power',
  'powerAtWrite',
  'kill',
  'blackout',
  'stall',
  'lag',
  'clog',
  'deaf',
  'mute',
  'slowDisk',
  'storm',
];

/** One change: an operator's, or a validator that leaves by itself. */
export type Step = Pick<LoadOp, 'at_ms' | 'kind' | 'node' | 'change'>;

/** Who can come and go, and who sits in the committee when all went as it was drawn. */
export interface Seats {
  readonly movable: readonly number[];
  readonly seated: Set<number>;
}

/** How a scenario is changed. */
export interface Plan {
  /** Observers that come to those of the scenario. */
  readonly candidates: number;
  /** How long after a change a fault begins, at most. */
  readonly near_ms: number;
  /** How often a change comes with a fault. */
  readonly faulty: number;
  steps(seats: Seats): readonly Step[];
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Validators that may fail in any way. */
function faultyOf({ traitors, faults }: Scenario): Set<number> {
  const setBack = faults.filter(({ kind }) => kind === 'rollback').flatMap(({ nodes }) => nodes);
  return new Set([...traitors.map(({ author }) => author), ...setBack]);
}

/** The scenario with candidates, changes, and faults where these happen. */
export function changing(scenario: Scenario, random: Random, plan: Plan): Scenario {
  const { validators, duration_ms, traitors } = scenario;
  const observers = scenario.observers + plan.candidates;
  const nodes = validators + observers;
  const faulty = faultyOf(scenario);
  const honest = range(validators).filter((index) => !faulty.has(index));
  const staying = random.some(honest, Math.max(2, 2 * faulty.size + 1));
  const movable = range(nodes).filter((index) => !staying.includes(index));
  const steps = plan.steps({ movable, seated: new Set(range(validators)) });
  const net = { validators, nodes, traitors, duration_ms, spare: 0 };
  const faults = steps.flatMap((step): Fault[] => {
    if (!random.chance(plan.faulty)) return [];
    const kind = random.pick(NEAR);
    const parts = FAULTS[kind].draw(random, net);
    // what waits for the end itself is there in time
    const isInWait = kind === 'powerAtEpoch';
    const at_ms = step.at_ms + (isInWait ? 0 : random.below(plan.near_ms));
    const for_ms = random.between(isInWait ? 400 : 5, random.pick([500, 900, 2000]));
    const whom = kind === 'partition' ? sidesOf(random, step, movable) : undefined;
    return parts ? [{ kind, at_ms, for_ms, nodes: [], amount: 0, ...parts, ...whom }] : [];
  });
  const load = [
    ...scenario.load.map((op) => (random.chance(0.3) ? { ...op, node: random.below(nodes) } : op)),
    ...steps.map((step) => ({ key: '', value: '', ...step })),
  ];
  return {
    ...scenario,
    observers,
    // a member that came without a node gets no seat
    newcomers: plan.candidates,
    faults: [...scenario.faults, ...faults].toSorted((a, b) => a.at_ms - b.at_ms),
    load: load.toSorted((a, b) => a.at_ms - b.at_ms),
  };
}

/** One side of a partition: who comes or goes, or all who could. */
function sidesOf(
  random: Random,
  { change, node }: Step,
  movable: readonly number[],
): { nodes: readonly number[] } | undefined {
  const { add, remove } = change ?? { add: [], remove: [node] };
  const sides = [add, remove, [...add, ...remove], movable].filter(({ length }) => length > 0);
  return random.chance(0.7) ? { nodes: random.pick(sides) } : undefined;
}

/** Who comes and who goes next, mostly such that it fits. */
export function anyStep(random: Random, { movable, seated }: Seats): Omit<Step, 'at_ms'> {
  // any node hands it over: there are more of them than can move
  const node = random.below(movable.length + 1);
  if (random.chance(0.1)) {
    // somebody who perhaps sits there, or does not, or both at once
    const [a, b] = [random.pick(movable), random.pick(movable)];
    const add = random.chance(0.6) ? [a] : [];
    const remove = add.length === 0 || random.chance(0.5) ? [b] : [];
    return { kind: 'committee', node, change: { add, remove } };
  }
  const inside = movable.filter((index) => seated.has(index));
  const outside = movable.filter((index) => !seated.has(index));
  const count = random.pick([1, 1, 2, 3]);
  const isAdding = outside.length > 0 && (inside.length === 0 || random.chance(0.6));
  const isRemoving = inside.length > 0 && (!isAdding || random.chance(0.3));
  const add = isAdding ? random.some(outside, count) : [];
  const remove = isRemoving ? random.some(inside, random.pick([1, 1, 2])) : [];
  for (const index of add) seated.add(index);
  for (const index of remove) seated.delete(index);
  const [leaver] = remove;
  if (leaver !== undefined && add.length === 0 && random.chance(0.4)) {
    for (const index of remove.slice(1)) seated.add(index);
    return { kind: 'leave', node: leaver };
  }
  return { kind: 'committee', node, change: { add, remove } };
}

/** In its share of the seeds: the scenario with changes of the committee at any time. */
export function withChanges(scenario: Scenario): Scenario {
  const { seed, validators, duration_ms, clones } = scenario;
  const random = randomOf(seed, 'committee');
  if (!random.chance(SHARE) || clones.length > 0) return scenario;
  const times_ms = range(random.between(1, 6))
    .map(() => random.below(duration_ms * 0.9))
    .toSorted((a, b) => a - b);
  return changing(withFaulty(scenario, random), random, {
    candidates: validators > 7 ? 1 : random.between(1, 3),
    near_ms: 400,
    faulty: 0.5,
    steps: (seats) => times_ms.map((at_ms) => ({ at_ms, ...anyStep(random, seats) })),
  });
}

/** The share of seeds in which nodes change their keys. */
const ROTATING = 0.2;

/** In its share of the seeds: honest nodes rotate at any time, some of them more than once. */
export function withRotations(scenario: Scenario): Scenario {
  const { seed, validators, observers, duration_ms, clones, traitors, newcomers = 0 } = scenario;
  const random = randomOf(seed, 'keys');
  if (!random.chance(ROTATING) || clones.length > 0) return scenario;
  const betrayed = new Set(traitors.map(({ author }) => author));
  const nodes = range(validators + observers - newcomers).filter((index) => !betrayed.has(index));
  const rotations = range(random.between(1, 4)).map(() => ({
    at_ms: random.below(duration_ms * 0.9),
    kind: 'rotate' as const,
    node: random.pick(nodes),
    key: '',
    value: '',
  }));
  const load = [...scenario.load, ...rotations].toSorted((a, b) => a.at_ms - b.at_ms);
  return { ...scenario, load };
}

/** A traitor with something to do where epochs end, or else a disk that is set back early. */
export function withFaulty(scenario: Scenario, random: Random): Scenario {
  const { validators, traitors, faults, duration_ms } = scenario;
  const [first, ...others] = traitors;
  if (first && random.chance(0.6)) {
    const habit = random.pick(['pastEpochs', 'pastEpochs', 'replays'] as const);
    const habits = [...new Set([...first.habits, habit])];
    return { ...scenario, traitors: [{ ...first, habits }, ...others] };
  }
  const tolerated = Math.floor((validators - 1) / 3);
  const hasRoom = traitors.length < tolerated && !faults.some(({ kind }) => kind === 'rollback');
  if (!hasRoom || random.chance(0.5)) return scenario;
  const honest = range(validators).filter((index) => !traitors.some((one) => one.author === index));
  const setBack: Fault = {
    kind: 'rollback',
    // early enough to be told, and to see an epoch begin after that
    at_ms: random.below(duration_ms * 0.15),
    for_ms: random.between(50, 800),
    nodes: honest.slice(-1),
    amount: 0,
  };
  return { ...scenario, faults: [...faults, setBack] };
}
