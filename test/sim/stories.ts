import { anyStep, changing, range, withFaulty } from './changes.ts';
import type { Seats, Step } from './changes.ts';
import type { Fault } from './faults.ts';
import { drawLoad } from './load.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';

/**
 * Runs that are made for something which runs at random hardly ever do. Each has its share of the
 * seeds: those whose draw lies below `upTo` and not below the one before.
 */
export const STORIES: readonly {
  readonly upTo: number;
  draw(seed: number, validators: number): Scenario;
}[] = [
  { upTo: 0.03, draw: leftBehind },
  { upTo: 0.09, draw: ambushed },
  { upTo: 0.12, draw: cloned },
  { upTo: 0.18, draw: comingAndGoing },
];

const DURATION_MS = 6000;
const OPERATIONS = 90;

/** A fast network under steady load, so that rounds go by. */
export function steadyNet(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'steady net');
  const traitors: Scenario['traitors'] = [];
  const net = { validators, nodes: validators, traitors, duration_ms: DURATION_MS, spare: 0 };
  const load = drawLoad(randomOf(seed, 'load'), net, [OPERATIONS]).map((op, i) => ({
    ...op,
    at_ms: Math.floor((DURATION_MS * i) / OPERATIONS),
  }));
  return {
    seed,
    validators,
    observers: 0,
    traitors,
    clones: [],
    link: { delay_ms: [1, random.pick([1, 4, 9])], loss: 0, duplicate: 0 },
    disk: { write_ms: 0, sync_ms: random.pick([0, 1]) },
    skew_ms: [],
    config: { busyRoundDelay_ms: 5 },
    duration_ms: DURATION_MS,
    verify_ms: 0,
    faults: [],
    load,
    isReal: false,
  };
}

/**
 * One validator is cut off for so long that the others' horizon passes its last block: its events
 * have to find another way.
 */
function leftBehind(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'left behind');
  const nodes = [random.below(validators)];
  const faults: Fault[] = [
    {
      kind: 'partition',
      at_ms: random.between(100, 900),
      for_ms: random.between(2500, 4800),
      nodes,
      amount: 0,
    },
  ];
  if (random.chance(0.3)) {
    const at_ms = random.below(DURATION_MS - 500);
    faults.push({ kind: 'power', at_ms, for_ms: random.between(5, 500), nodes, amount: 0 });
  }
  return { ...steadyNet(seed, validators), faults };
}

/** A traitor lies in wait (`byzantine/ambush.ts`). */
function ambushed(seed: number, validators: number): Scenario {
  const author = randomOf(seed, 'ambush').below(validators);
  return { ...steadyNet(seed, validators), traitors: [{ author, habits: ['ambush'] }] };
}

/**
 * Validators that an operator started twice, with one key on two machines, in the two halves of a
 * partition: as many as are tolerated, or one more, and then both halves have a quorum.
 */
function cloned(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'cloned');
  const tolerated = Math.floor((validators - 1) / 3);
  const count = random.chance(0.5) ? tolerated : tolerated + 1;
  const authors = Array.from({ length: validators }, (_, author) => author);
  const clones = random.some(authors, count);
  const honest = authors.filter((author) => !clones.includes(author));
  const half = honest.slice(0, Math.ceil(honest.length / 2));
  // mostly from the start on: copies that have met stop sealing
  const at_ms = random.chance(0.8) ? 0 : random.between(1, 500);
  const for_ms = random.between(500, 2500);
  const nodes = [...half, ...clones];
  const faults: Fault[] = [{ kind: 'partition', at_ms, for_ms, nodes, amount: 0 }];
  return { ...steadyNet(seed, validators), clones, faults };
}

/**
 * Candidates come into the committee and leave it under steady load, 4 to 7 to 4, or one for
 * another, or one again and again; what fails does so where epochs end.
 */
function comingAndGoing(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'coming and going');
  const net = steadyNet(seed, validators);
  const author = random.below(validators);
  const isBetrayed = validators >= 4 && random.chance(0.3);
  const traitors = isBetrayed ? [{ author, habits: ['twins', 'replays'] as const }] : [];
  const style = random.pick([oneByOne, allAtOnce, again, exchanged, anyhow]);
  return changing(withFaulty({ ...net, traitors }, random), random, {
    candidates: validators > 4 ? 1 : 3,
    near_ms: 150,
    faulty: 0.6,
    steps: (seats) => {
      const steps = style(random, seats);
      const pause_ms = (DURATION_MS - 1000) / steps.length;
      return steps.map((step, i) => ({ ...step, at_ms: Math.floor(400 + i * pause_ms) }));
    },
  });
}

type Steps = Omit<Step, 'at_ms'>[];

function changeOf(add: readonly number[], remove: readonly number[], node = 0): Steps[number] {
  return { kind: 'committee', node, change: { add, remove } };
}

function outside({ movable, seated }: Seats): number[] {
  return movable.filter((index) => !seated.has(index));
}

/** All come, then as many leave, some of them by themselves: perhaps others than have come. */
function oneByOne(random: Random, seats: Seats): Steps {
  const coming = outside(seats);
  const leaving = random.some(seats.movable, coming.length);
  return [
    ...coming.map((index) => changeOf([index], [], index)),
    ...leaving.map((index): Steps[number] =>
      random.chance(0.5) ? { kind: 'leave', node: index } : changeOf([], [index]),
    ),
  ];
}

function allAtOnce(random: Random, seats: Seats): Steps {
  const coming = outside(seats);
  return [changeOf(coming, []), changeOf([], random.some(seats.movable, coming.length))];
}

/** One comes and goes, again and again. */
function again(random: Random, seats: Seats): Steps {
  const one = outside(seats).slice(-1);
  return range(random.between(4, 8)).map((i) =>
    i % 2 === 0 ? changeOf(one, []) : changeOf([], one),
  );
}

/** In every epoch some sit in others' place. */
function exchanged(random: Random, { movable, seated }: Seats): Steps {
  return range(random.between(3, 6)).map(() => {
    const inside = movable.filter((index) => seated.has(index));
    const add = random.some(outside({ movable, seated }), 2);
    const remove = random.some(inside, add.length);
    for (const index of add) seated.add(index);
    for (const index of remove) seated.delete(index);
    return changeOf(add, remove);
  });
}

function anyhow(random: Random, seats: Seats): Steps {
  return range(random.between(4, 8)).map(() => anyStep(random, seats));
}
