import type { CoreConfig } from '#ledger/core.ts';
import type { Fault, FaultName } from './faults.ts';
import type { LoadName, LoadOp } from './load.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { Scenario, Traitor } from './scenario.ts';

/**
 * Runs in which nodes keep a part of the log only, and one was away, or is new, for so long that it
 * comes up by a certified snapshot and its tail. They last longer than others: the log is cut every
 * ten seconds, and nothing is pruned but below a cut.
 */

/** Seeds with a draw below are stories; up to the second a drawn run that gets all of this. */
const STORY_SHARE = 0.05;
const SHARE = 0.15;
/** Larger committees cost too much over this time. */
const VALIDATORS_MAX = 7;
const DURATION_MS = 30_000;

/** What a seed has of this; nothing for most. */
export function snapshotsOf(seed: number, validators: number): 'story' | 'more' | 'none' {
  if (validators > VALIDATORS_MAX) return 'none';
  const draw = randomOf(seed, 'snapshots').next();
  if (draw < STORY_SHARE) return 'story';
  return draw < SHARE ? 'more' : 'none';
}

/** Who has which part in such a run. */
interface Cast {
  readonly nodes: number;
  /** Keeps the whole log from the genesis on. */
  readonly whole: number;
  /** Comes late. */
  readonly joiner: number;
  /** Whether little happens, and little is kept: rounds pass slowly then. */
  readonly isSparse: boolean;
  /** Whether those that have the whole log are out of its reach for a time. */
  readonly isCut: boolean;
}

/** By node: how much it keeps, and how it comes up. */
function drawConfigs(
  random: Random,
  { nodes, whole, joiner, isSparse, isCut }: Cast,
): Partial<CoreConfig>[] {
  return Array.from({ length: nodes }, (_, index) => {
    if (index === whole) return {};
    const isArchive = random.chance(0.15);
    const events = random.pick(isSparse ? [3, 5] : [16, 24, 40]);
    const share = index !== joiner ? 0.3 : isCut ? 0.5 : 1;
    const sync = random.chance(share) ? 'snapshot' : 'full';
    return { sync, retention: isArchive ? 'archive' : { events } };
  });
}

/** Those that the late one may get the whole log from. */
function archivesOf(configs: readonly Partial<CoreConfig>[], joiner: number): number[] {
  return [...configs.keys()].filter((index) => {
    const { retention = 'archive' } = configs[index] ?? {};
    return retention === 'archive' && index !== joiner;
  });
}

function drawRemembered(random: Random): { readonly remembered?: number } {
  const remembered = random.pick([undefined, 48, 128]);
  return remembered === undefined ? {} : { remembered };
}

const KINDS: readonly LoadName[] = [
  'put',
  'put',
  'delete',
  'create',
  'client',
  'bare',
  'twice',
  'expiring',
];

/** Short bursts with pauses: idle cuts and commits that bring the periodic ones. */
function bursts(random: Random, count: number, nodes: number, duration_ms: number): LoadOp[] {
  const pause_ms = random.pick([1300, 1800, 2600]);
  const steps = Math.floor(duration_ms / pause_ms);
  const each = Math.max(1, Math.floor(count / steps));
  return Array.from({ length: steps * each }, (_, i) => ({
    at_ms: Math.floor(i / each) * pause_ms + (i % each) * random.pick([7, 40, 70]),
    kind: random.pick(KINDS),
    node: random.below(nodes),
    key: `k${random.below(9)}`,
    value: `s${i}${'.'.repeat(random.chance(0.1) ? random.below(3000) : 0)}`,
  }));
}

/** The node is away until `join_ms`: never started, ended, or cut off. */
function absence(random: Random, joiner: number, isNew: boolean, join_ms: number): Fault {
  if (isNew) return { kind: 'late', at_ms: 0, for_ms: join_ms, nodes: [joiner], amount: 0 };
  const at_ms = random.between(500, 4000);
  const kind = random.pick<FaultName>(['kill', 'power', 'partition', 'powerAtWrite']);
  const amount = kind === 'powerAtWrite' ? random.between(1, 9) : 0;
  return { kind, at_ms, for_ms: join_ms - at_ms, nodes: [joiner], amount };
}

/**
 * What goes wrong while the node comes up: with it, with those that serve it, and between
 * them; those that have the whole log may be out of its reach for a time.
 */
function troubles(
  random: Random,
  { nodes, joiner, isCut }: Cast,
  archives: readonly number[],
  join_ms: number,
): Fault[] {
  const server = (): number => (joiner + random.between(1, nodes - 1)) % nodes;
  const soon = (): number => join_ms + random.below(random.pick([60, 400, 2500]));
  const lasts = (): number => random.between(20, random.pick([100, 700, 1500]));
  const at = (kind: FaultName, who: readonly number[], amount = 0): Fault => {
    return { kind, at_ms: soon(), for_ms: lasts(), nodes: who, amount };
  };
  const trap = (kind: FaultName, amount: number): Fault => {
    const for_ms = random.pick([3000, 12_000]);
    return { kind, at_ms: join_ms - 1, for_ms, nodes: [joiner], amount };
  };
  const kinds: readonly (() => Fault)[] = [
    () => trap('powerAtInstall', random.between(1, 20)),
    () => trap('powerAtInstall', random.between(1, 20)),
    () => trap('powerAtFetch', random.pick([random.between(1, 6), random.between(1, 70)])),
    () => at(random.pick<FaultName>(['fullDisk', 'failedSync']), [joiner]),
    () => at(random.pick<FaultName>(['kill', 'power']), [joiner]),
    () => at(random.pick<FaultName>(['kill', 'power', 'stall']), [server()]),
    () => at(random.pick<FaultName>(['clog', 'oneway']), [server(), joiner]),
    () => at('slowDisk', [joiner], random.pick([5, 20])),
    () => at('storm', [], random.pick([30, 60])),
  ];
  const faults = Array.from({ length: random.between(0, 5) }, () => random.pick(kinds)());
  if (isCut) {
    const away_ms = random.pick([6000, 12_000, 20_000]);
    const for_ms = join_ms + away_ms;
    for (const archive of archives) {
      faults.push({ kind: 'unlinked', at_ms: 0, for_ms, nodes: [joiner, archive], amount: 0 });
    }
  }
  return faults;
}

function byTime<T extends { readonly at_ms: number }>(...parts: readonly (readonly T[])[]): T[] {
  return parts.flat().toSorted((a, b) => a.at_ms - b.at_ms);
}

/** A run that is about nothing else, in a network that works but for what is drawn here. */
export function joining(seed: number, validators: number): Scenario {
  const random = randomOf(seed, 'joining');
  const observers = validators === 1 ? 2 : random.between(1, 2);
  const nodes = validators + observers;
  const isValidator = validators >= 4 && random.chance(0.4);
  const joiner = isValidator ? validators - 1 : nodes - 1;
  const isSparse = random.chance(0.25);
  const cast = { nodes, whole: 0, joiner, isSparse, isCut: isSparse || random.chance(0.5) };
  const join_ms = random.between(14_000, 24_000);
  const configs = drawConfigs(random, cast);
  const size = isSparse ? 20 : validators > 4 ? 90 : 130;
  const isNew = !isValidator || random.chance(0.3);
  return {
    seed,
    validators,
    observers,
    traitors: random.chance(0.65) ? liars(random, validators, joiner) : [],
    clones: [],
    link: {
      delay_ms: [1, random.pick([2, 8, 30])],
      loss: random.pick([0, 0, 0.05]),
      duplicate: random.pick([0, 0.05]),
    },
    disk: { write_ms: random.pick([0, 0, 1, 3]), sync_ms: random.pick([0, 2]) },
    skew_ms: [],
    config: { busyRoundDelay_ms: 5 },
    configs,
    ...drawRemembered(random),
    duration_ms: DURATION_MS,
    verify_ms: 0,
    faults: byTime(
      [absence(random, joiner, isNew, join_ms)],
      troubles(random, cast, archivesOf(configs, joiner), join_ms),
    ),
    load: byTime(bursts(random, size, nodes, DURATION_MS)),
    isReal: false,
  };
}

function liars(random: Random, validators: number, joiner: number): Traitor[] {
  const tolerated = Math.floor((validators - 1) / 3);
  const others = Array.from({ length: validators - 1 }, (_, i) => i + 1);
  const free = others.filter((author) => author !== joiner);
  return random
    .some(free, random.between(0, tolerated) || tolerated)
    .map((author) => ({ author, habits: ['falseSnapshot'] }));
}

/**
 * A drawn run, stretched over a longer time, with all of this besides its own faults and traitors;
 * those serve false snapshots, too.
 */
export function withSnapshots(scenario: Scenario): Scenario {
  const { seed, validators, observers, duration_ms } = scenario;
  const random = randomOf(seed, 'more snapshots');
  const nodes = validators + observers;
  if (nodes === 1) return scenario;
  const isTraitor = (index: number): boolean =>
    scenario.traitors.some(({ author }) => author === index);
  const setBack = new Set(
    scenario.faults.flatMap((fault) => (fault.kind === 'rollback' ? fault.nodes : [])),
  );
  const steady = Array.from({ length: validators }, (_, index) => index).filter(
    (index) => !isTraitor(index) && !setBack.has(index),
  );
  const whole = steady.length > 0 ? random.pick(steady) : 0;
  const others = Array.from({ length: nodes }, (_, index) => index).filter(
    (index) => index !== whole && !isTraitor(index) && !setBack.has(index),
  );
  const joiner = others.length > 0 ? random.pick(others) : nodes - 1;
  const cast = { nodes, whole, joiner, isSparse: false, isCut: random.chance(0.5) };
  const times = Math.ceil(DURATION_MS / duration_ms);
  const join_ms = random.between(14_000, 24_000);
  const stretched = scenario.faults.map((fault) => ({
    ...fault,
    at_ms: fault.at_ms * times,
    for_ms: fault.for_ms * random.pick([1, 1, times]),
  }));
  const configs = drawConfigs(random, cast);
  const count = validators > 4 ? 40 : 90;
  return {
    ...scenario,
    traitors: scenario.traitors.map(({ author, habits }) => ({
      author,
      habits: [...habits, 'falseSnapshot'],
    })),
    configs,
    ...drawRemembered(random),
    duration_ms: duration_ms * times,
    faults: byTime(
      stretched,
      [absence(random, joiner, random.chance(0.5), join_ms)],
      troubles(random, cast, archivesOf(configs, joiner), join_ms),
    ),
    load: byTime(
      scenario.load.map((op) => ({ ...op, at_ms: op.at_ms * times })),
      bursts(random, count, nodes, duration_ms * times),
    ),
  };
}
