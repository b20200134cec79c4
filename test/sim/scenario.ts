import type { CoreConfig } from '#ledger/core.ts';
import type { LinkShape } from '#test/support/fake-link.ts';
import { COMMON_HABITS } from '#test/sim/byzantine/habits.ts';
import type { HabitName } from '#test/sim/byzantine/habits.ts';
import { withChanges, withRotations } from './changes.ts';
import { checkpointStory } from './checkpoint-stories.ts';
import { drawCutting, withForgers } from './cutting.ts';
import type { Defect } from './defects.ts';
import { COMMON_FAULTS, FAULTS } from './faults.ts';
import type { Fault } from './faults.ts';
import { drawLoad } from './load.ts';
import type { LoadOp } from './load.ts';
import { livesOf, withLives } from '#test/sim/lives/draw.ts';
import type { Cast } from '#test/sim/lives/people.ts';
import { joining, snapshotsOf, withSnapshots } from './snapshots.ts';
import { STORIES } from './stories.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';

/** A validator that does not follow the protocol, and in which ways. */
export interface Traitor {
  readonly author: number;
  readonly habits: readonly HabitName[];
}

/**
 * All that one run consists of: it follows from the seed and the options. What is new draws from a
 * stream of its own, so that the old parts of a seed stay.
 */
export interface Scenario {
  readonly seed: number;
  readonly validators: number;
  readonly observers: number;
  /** So many of the observers, the last ones, are no members before they join the committee. */
  readonly newcomers?: number;
  readonly traitors: readonly Traitor[];
  /** Validators that run on two machines with one key; their second machines come last. */
  readonly clones: readonly number[];
  readonly link: LinkShape;
  readonly disk: { readonly write_ms: number; readonly sync_ms: number };
  /** By node: milliseconds that its wall clock is ahead. */
  readonly skew_ms: readonly number[];
  readonly config: Partial<CoreConfig>;
  /** By node: what it chooses apart from the others. */
  readonly configs?: readonly Partial<CoreConfig>[];
  /** Who comes and goes beside the committee: then policies and posture are on the ledger. */
  readonly lives?: Cast;
  /** How many final events are remembered by id, where it is less than usual. */
  readonly remembered?: number;
  /** Length of the first phase, with faults. */
  readonly duration_ms: number;
  readonly faults: readonly Fault[];
  readonly load: readonly LoadOp[];
  /** How long a node takes to verify the signatures of a block. */
  readonly verify_ms: number;
  /** How often each node cuts a checkpoint of its own accord (`cutting.ts`). */
  readonly cut_ms?: number;
  /** What is wrong with the state of one node. */
  readonly defect?: Defect;
  /** Whether real ML-DSA-65 signs and verifies. */
  readonly isReal: boolean;
}

export interface ScenarioOptions {
  /** Size of the committee; drawn when it is not given. */
  readonly validators?: number | undefined;
  /** Traitors: `none`, as many as are tolerated at most (`some`), or one more (`over`). */
  readonly traitors?: 'none' | 'some' | 'over' | undefined;
  readonly isReal?: boolean | undefined;
  /** Whether snapshots are taken and logs pruned; drawn when it is not given. */
  readonly snapshots?: 'none' | 'story' | 'more' | undefined;
  /** Whether members come and go, and rules change; drawn when it is not given. */
  readonly lives?: 'none' | 'some' | undefined;
  /** Indexes of the faults that are kept; all when it is not given. */
  readonly keep?: readonly number[] | undefined;
  /** Operations of the load that are kept, from the first on. */
  readonly load?: number | undefined;
}

const SIZES = [1, 4, 4, 4, 4, 4, 4, 7, 7, 10] as const;
/** A run costs by the square of its nodes: large committees get shorter runs with less load. */
const SHAPES: Readonly<Record<number, { durations_ms: number[]; loads: number[] }>> = {
  1: { durations_ms: [2000, 8000], loads: [10, 50, 120] },
  4: { durations_ms: [2000, 4000, 8000], loads: [10, 25, 50, 100] },
  7: { durations_ms: [2000, 4000], loads: [10, 25, 40] },
  10: { durations_ms: [1500, 3000], loads: [8, 16] },
};
const SMALL = { durations_ms: [2000, 4000], loads: [10, 30] };

/** One run in so many has a traitor more than the protocol stands, or the real signatures. */
const BEYOND_EVERY = 20;
const REAL_EVERY = 50;

export function scenarioOf(seed: number, options: ScenarioOptions = {}): Scenario {
  const random = randomOf(seed, 'scenario');
  const drawn = random.pick(SIZES);
  const validators = options.validators ?? drawn;
  const observers = random.chance(0.25) ? 1 : 0;
  const tolerated = Math.floor((validators - 1) / 3);
  const wantsTraitors = random.chance(0.35);
  const isBeyond = seed % BEYOND_EVERY === BEYOND_EVERY - 1;
  const mode = options.traitors ?? (isBeyond ? 'over' : wantsTraitors ? 'some' : 'none');
  const traitors = drawTraitors(randomOf(seed, 'traitors'), validators, tolerated, mode);
  const shape = SHAPES[validators] ?? SMALL;
  const duration_ms = random.pick(shape.durations_ms);
  const nodes = validators + observers;
  const more = randomOf(seed, 'more');
  const story = validators > 1 && validators < 10 ? more.next() : 1;
  const part = options.snapshots ?? (mode === 'over' ? 'none' : snapshotsOf(seed, validators));
  const lives = mode === 'over' ? 'none' : (options.lives ?? livesOf(seed));
  const lived = (one: Scenario): Scenario => (lives === 'some' ? withLives(one) : one);
  if (part === 'story') return limited(lived(joining(seed, validators)), options);
  const told =
    options.lives === 'some'
      ? undefined
      : (checkpointStory(seed, validators) ??
        STORIES.find(({ upTo }) => story < upTo)?.draw(seed, validators));
  if (told) return limited(told, options);
  const net = { validators, nodes, traitors, duration_ms, spare: tolerated - traitors.length };
  const faults = drawFaults(randomOf(seed, 'faults'), net);
  const load = drawLoad(randomOf(seed, 'load'), net, shape.loads);
  const drawnAll: Scenario = {
    seed,
    validators,
    observers,
    traitors: withForgers(seed, traitors),
    clones: [],
    ...drawCutting(seed),
    link: drawLink(random),
    disk: { write_ms: random.pick([0, 0, 1, 3]), sync_ms: random.pick([0, 1, 4, 15]) },
    skew_ms: Array.from({ length: nodes }, () =>
      random.chance(0.2) ? random.between(-2000, 2000) : random.between(-100, 100),
    ),
    config: random.chance(0.3) ? { busyRoundDelay_ms: 5 } : {},
    duration_ms,
    verify_ms: more.pick([0, 0, 1, 6]),
    faults,
    load,
    isReal: seed % REAL_EVERY === 0,
  };
  const changed = part === 'more' ? withSnapshots(drawnAll) : withChanges(drawnAll);
  return limited(withRotations(lived(changed)), options);
}

/** The part of a scenario that the options leave. */
function limited(scenario: Scenario, { keep, load, traitors, isReal }: ScenarioOptions): Scenario {
  return {
    ...scenario,
    ...(traitors === 'none' && { traitors: [], clones: [] }),
    faults: keep ? keep.flatMap((index) => scenario.faults[index] ?? []) : scenario.faults,
    load: scenario.load.slice(0, load),
    isReal: isReal ?? scenario.isReal,
  };
}

/** What faults and load are drawn for. */
export interface NetShape {
  readonly validators: number;
  readonly nodes: number;
  readonly traitors: readonly Traitor[];
  readonly duration_ms: number;
  /** How many more validators may fail in any way. */
  readonly spare: number;
}

function drawTraitors(
  random: Random,
  validators: number,
  tolerated: number,
  mode: 'none' | 'some' | 'over',
): Traitor[] {
  const authors = Array.from({ length: validators }, (_, author) => author);
  const count =
    mode === 'none'
      ? 0
      : mode === 'over'
        ? tolerated + 1
        : random.between(0, tolerated) || tolerated;
  return random
    .some(authors, Math.min(count, validators - 1))
    .map((author) => ({ author, habits: random.some(COMMON_HABITS, random.between(1, 4)) }));
}

function drawLink(random: Random): LinkShape {
  const min = random.pick([1, 1, 5, 20]);
  return {
    delay_ms: [min, min + random.pick([0, 10, 30, 120])],
    tail: random.pick([1, 1, 3, 6]),
    loss: random.pick([0, 0, 0.02, 0.1]),
    duplicate: random.pick([0, 0.05]),
  };
}

/** Each run has its own few kinds of faults, so that some runs are all of one kind. */
function drawFaults(random: Random, net: NetShape): Fault[] {
  const kinds = random.some(COMMON_FAULTS, random.between(1, 6));
  const count = random.pick([0, 2, 4, 8, 14]);
  const faults: Fault[] = [];
  for (let i = 0; i < count; i++) {
    const kind = random.pick(kinds);
    const parts = FAULTS[kind].draw(random, net);
    if (!parts) continue;
    const at_ms = random.below(net.duration_ms * 0.9);
    const for_ms = random.between(5, random.pick([200, 1500, 6000]));
    faults.push({ kind, at_ms, for_ms, nodes: [], amount: 0, ...parts });
  }
  return faults.toSorted((a, b) => a.at_ms - b.at_ms);
}
