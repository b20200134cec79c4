import { beginCutting, certifiedOf, isCertified } from './cutting.ts';
import { beginDefect, demandOfDefect } from './defects.ts';
import type { FaultName } from './faults.ts';
import { storeKeys } from '#ledger/keys.ts';
import { FAULTS } from './faults.ts';
import { LOADS } from './load.ts';
import type { SimNode } from './node.ts';
import type { Scenario } from './scenario.ts';
import type { Counted } from './snapshot-counts.ts';
import { verdictAt } from './finality.ts';
import type { Finding } from './world.ts';
import { World } from './world.ts';

/** From healing until everything that was acknowledged is final everywhere. */
const PROGRESS_MS_MAX = 60_000;
/**
 * Without a block for so long the network is at rest: a node is stuck after 10 s, and the last by
 * rank carries its events after `fallback_ms` times the size of the committee.
 */
const REST_MS = 13_000;
const REST_MS_PER_NODE = 1600;
const REST_MS_MAX = 120_000;
/** With more traitors than the protocol stands nothing is demanded after this. */
const BEYOND_MS = 5000;
/** From rest until all that is final is certified at every honest node. */
const CERTIFIED_MS_MAX = 60_000;
const QUIET_TRIES = 3;
const SAMPLE_MS = 250;

/**
 * Who takes a snapshot from a traitor has so much patience with it (`snapshot-sync.ts`): a minute
 * for an offer, two for the parts, and the last request of them.
 */
const LIAR_MS = 250_000;

function progressMs({ traitors }: Scenario): number {
  const liars = traitors.filter(({ habits }) => habits.includes('falseSnapshot'));
  return PROGRESS_MS_MAX + LIAR_MS * liars.length;
}

/** What a run came to. */
export interface Outcome {
  readonly seed: number;
  readonly validators: number;
  /** `pass`, `no progress`, `diverged`, or the name of the checker that found something first. */
  readonly verdict: string;
  readonly findings: readonly Finding[];
  readonly trace: string;
  readonly virtual_ms: number;
  /** Faults that took place, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Habits of traitors, by kind. */
  readonly habits: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  /** Acknowledged and not final at some honest node in the end. */
  readonly lost: number;
  readonly finals: number;
  /** What honest nodes did with snapshots. */
  readonly snapshots: Counted;
  readonly blocks: number;
  /** Checkpoints that honest nodes certified, and receipts that were verified. */
  readonly checkpoints: number;
  readonly receipts: number;
  /** From healing until all was final everywhere. */
  readonly healed_ms: number | undefined;
  readonly isBeyond: boolean;
  /** Beyond what the protocol stands: whether honest nodes saw it. */
  readonly isNoticed: boolean;
  /** Epochs that were entered, beyond the first. */
  readonly epochs: number;
  /** Events that changed the committee. */
  readonly changes: number;
  /** Applied events about members and rules by kind, and `refused`, `denied` and `void` ones. */
  readonly lives: Readonly<Record<string, number>>;
  /** Validators that seal again after their disk was set back. */
  readonly returned: number;
}

/** Plays a scenario: first safety under its faults, then healing, progress, and rest. */
export async function play(scenario: Scenario): Promise<Outcome> {
  const world = await World.create(scenario);
  const counts = new Map<FaultName, number>();
  const active = schedule(world, counts);
  beginCutting(world);
  beginDefect(world);
  for (const node of world.nodes) if (!node.isHeldBack) world.restart(node.index);
  await sampled(world, scenario.duration_ms, () => false);
  for (const end of active) end();
  world.heal();
  const healedAt_ms = world.now_ms;
  let healed_ms: number | undefined;
  if (world.isBeyond) await sampled(world, BEYOND_MS, () => false);
  else if (await sampled(world, progressMs(scenario), () => isSettled(world))) {
    healed_ms = world.now_ms - healedAt_ms;
    await quiet(world);
    const wait = (limit_ms: number, isDone: () => boolean) => sampled(world, limit_ms, isDone);
    if (await demandOfDefect(world, wait)) await quiet(world);
  } else if (world.findings.length === 0) {
    const gone = goneOf(world);
    if (gone) world.report('nothing lost', `nobody has ${gone}, which was acknowledged`);
    world.report('no progress', progressOf(world));
  }
  const findings = [...world.findings];
  if (!world.isBeyond && findings.length === 0) {
    await world.end();
    findings.push(...world.findings);
  }
  const outcome = outcomeOf(world, findings, counts, healed_ms);
  for (const { index } of world.nodes) world.crash(index, 'kill');
  return outcome;
}

/** Sets the timers of load and faults; returns the ends of faults that are under way. */
function schedule(world: World, counts: Map<FaultName, number>): Set<() => void> {
  const active = new Set<() => void>();
  for (const fault of world.scenario.faults) {
    const kind = FAULTS[fault.kind];
    const start = (): void => {
      if (world.isHealing || kind.begin(world, fault) === false) return;
      counts.set(fault.kind, (counts.get(fault.kind) ?? 0) + 1);
      world.trace.note(world.now_ms, `fault ${fault.kind}`);
      const finish = (): void => {
        if (active.delete(finish)) kind.end?.(world, fault);
      };
      active.add(finish);
      world.clock.after(fault.for_ms, finish);
    };
    if (fault.at_ms === 0) start();
    else world.clock.after(fault.at_ms, start);
  }
  for (const op of world.scenario.load) {
    world.clock.after(op.at_ms, () => {
      // what a node refuses, or a node that is away, acknowledges nothing
      LOADS[op.kind](world, op).catch(() => undefined);
    });
  }
  return active;
}

/** Lets time pass and looks at the bounds now and then; stops at a finding. */
async function sampled(world: World, limit_ms: number, isDone: () => boolean): Promise<boolean> {
  const end_ms = world.now_ms + limit_ms;
  while (world.now_ms < end_ms && (world.isBeyond || world.findings.length === 0)) {
    await world.clock.run(Math.min(SAMPLE_MS, end_ms - world.now_ms));
    world.sample();
    if (isDone()) return true;
  }
  return isDone();
}

/** Whether all honest nodes have all that was acknowledged, and the same. */
function isSettled(world: World): boolean {
  const { honest } = world;
  const sizes = new Set(honest.map(({ core }) => core?.replica.fold.size));
  if (sizes.size !== 1 || sizes.has(undefined)) return false;
  if (honest.some(({ core }) => core?.replica.orderer.isEnded)) return false;
  const isFinal = (id: string): boolean =>
    honest.every((node) => verdictAt(world, node, id) !== undefined);
  return world.due().every(([id]) => isFinal(id));
}

/** An acknowledged event that no honest node holds any more. */
function goneOf(world: World): string | undefined {
  for (const [id] of world.due()) {
    const isHeld = (node: SimNode): boolean => {
      return verdictAt(world, node, id) !== undefined || node.core?.log.event(id) !== undefined;
    };
    if (!world.honest.some(isHeld)) return id;
  }
  return undefined;
}

function progressOf(world: World): string {
  const nodes = world.nodes.map(({ name, core, isHonest, isUp }) => {
    if (!core) return `${name} ${isUp ? 'is starting' : 'is down'}`;
    const { committee, fold, roundClock, orderer, pool, waiting } = core.replica;
    const at = `${orderer.isEnded ? 'after ' : ''}epoch ${committee.epoch}`;
    const rounds = `round ${roundClock.round}, decided ${orderer.decidedRound}`;
    const what = `${at}, ${fold.size} final, ${rounds}`;
    const queues = `${pool.size} in the pool, ${waiting.size} waiting`;
    return `${name}${isHonest ? '' : ' (faulty)'}: ${what}, ${queues}`;
  });
  return `${world.owed.size} acknowledged; ${nodes.join('; ')}`;
}

/** No honest node seals or hears of an event for a while; traitors are silent, and all is final. */
async function rest(world: World): Promise<void> {
  for (const { driver } of world.nodes) driver?.silence();
  const sealed = (): number => world.honest.reduce((sum, node) => sum + node.sealed, 0);
  // an event that comes now has the same time as others to find its block
  const activity = (): string =>
    [sealed(), ...world.honest.map(({ core }) => core?.replica.pool.size)].join();
  let before = activity();
  let since_ms = world.now_ms;
  const isAtRest = (): boolean => {
    if (activity() !== before) since_ms = world.now_ms;
    before = activity();
    return world.now_ms - since_ms >= REST_MS + REST_MS_PER_NODE * world.nodes.length;
  };
  if (await sampled(world, REST_MS_MAX, isAtRest)) return;
  if (world.findings.length === 0) {
    world.report('quiescence', `blocks without an end: ${sealed()} so far`);
  }
}

/**
 * At rest, with all that is final certified. While certificates are waited for, a traitor whose ban
 * has ended may bring events of its own, and then there is no rest.
 */
async function quiet(world: World): Promise<void> {
  for (let tries = 0; tries < QUIET_TRIES; tries++) {
    await rest(world);
    if (world.findings.length > 0 || isCertified(world)) return;
    if (await sampled(world, CERTIFIED_MS_MAX, () => isCertified(world))) continue;
    if (world.findings.length === 0) world.report('no certificate', certifiedOf(world));
  }
}

function outcomeOf(
  world: World,
  findings: readonly Finding[],
  counts: ReadonlyMap<FaultName, number>,
  healed_ms: number | undefined,
): Outcome {
  const { scenario } = world;
  const habits: Record<string, number> = {};
  for (const name of scenario.traitors.flatMap((traitor) => traitor.habits)) {
    habits[name] = (habits[name] ?? 0) + 1;
  }
  if (scenario.clones.length > 0) habits['cloned'] = scenario.clones.length;
  const isFinal = (id: string): boolean =>
    world.honest.every((node) => verdictAt(world, node, id) !== undefined);
  const isNoticed = world.honest.some(
    ({ core }) => core && (core.replica.alarm || core.replica.counters.equivocations > 0),
  );
  return {
    seed: scenario.seed,
    validators: scenario.validators,
    verdict: verdictOf(world, findings, isNoticed),
    findings,
    trace: world.trace.digest(),
    virtual_ms: world.now_ms,
    faults: Object.fromEntries(counts),
    habits,
    acknowledged: world.due().length,
    lost: world.isBeyond ? 0 : world.due().filter(([id]) => !isFinal(id)).length,
    finals: Math.max(...world.nodes.map(({ core }) => core?.replica.fold.size ?? 0)),
    snapshots: world.snapshots.counted,
    blocks: world.nodes.reduce((sum, node) => sum + node.sealed, 0),
    ...world.counts,
    healed_ms,
    isBeyond: world.isBeyond,
    isNoticed,
    epochs: Math.max(...world.nodes.map(({ core }) => core?.replica.committee.epoch ?? 0)),
    changes: world.changes.size,
    lives: livesOf(world),
    returned: world.nodes.filter((node) => node.isAmnesiac && hasReturned(node)).length,
  };
}

function livesOf({ people }: World): Record<string, number> {
  if (!people) return {};
  return { ...Object.fromEntries(people.counts), void: people.voids };
}

/** Whether it has sealed in an epoch after one in which it had lost its store. */
function hasReturned({ core, store }: SimNode): boolean {
  const [epoch, last] = [core?.replica.committee.epoch ?? 0, core?.replica.last?.round ?? 0];
  return epoch > 0 && last > 0 && store?.get(storeKeys.lost) === undefined;
}

/** Beyond f traitors a divergence that honest nodes can see is no failure of the software. */
function verdictOf(world: World, findings: readonly Finding[], isNoticed: boolean): string {
  const [first] = findings;
  if (!first) return 'pass';
  if (world.isBeyond && isNoticed && first.checker === 'diverged') return 'pass';
  return first.checker;
}
