import { NEAR, range } from '#test/sim/changes.ts';
import { FAULTS } from '#test/sim/faults.ts';
import type { Fault } from '#test/sim/faults.ts';
import type { LoadName, LoadOp } from '#test/sim/load.ts';
import { randomOf } from '#test/sim/random.ts';
import type { Random } from '#test/sim/random.ts';
import type { Scenario } from '#test/sim/scenario.ts';
import { INVITES } from './acts.ts';
import { DENIALS } from './rules.ts';

/**
 * Runs in which members come and go and rules change, beside all else that is drawn: invites and
 * joins, steps of a member's life, revoked keys, seats, policies that deny and permit again,
 * reports and isolation. Safe by the rule of `changes.ts`: where b validators may fail in any way,
 * 2b + 1 others, and two at least, keep seat, key and membership. Isolation needs no such rule: it
 * ends within the run, and the ledger itself never isolates more than f.
 */

/** The share of seeds that have it beside what else they draw. */
const SHARE = 0.16;

/** What a seed has of this; nothing for most. */
export function livesOf(seed: number): 'some' | 'none' {
  return randomOf(seed, 'lives').chance(SHARE) ? 'some' : 'none';
}

/** One act of a tale: what, about whom, and what differs. */
type Step = Pick<LoadOp, 'kind'> & Partial<Pick<LoadOp, 'life' | 'node' | 'key' | 'change'>>;

/** Who may be told of, by their place among the people. */
interface Roles {
  readonly guests: readonly number[];
  readonly comers: readonly number[];
  /** Honest nodes that may lose seat, key and membership; and those that keep them. */
  readonly movable: readonly number[];
  readonly staying: readonly number[];
  readonly validators: readonly number[];
  readonly traitors: readonly number[];
}

type Tale = (random: Random, roles: Roles) => readonly Step[];

/** Validators that are honest, and that no change of this scenario takes out of the committee. */
function stayingOf(random: Random, scenario: Scenario): number[] {
  const { validators, traitors, faults, load } = scenario;
  const setBack = faults.filter(({ kind }) => kind === 'rollback').flatMap(({ nodes }) => nodes);
  const faulty = new Set([...traitors.map(({ author }) => author), ...setBack]);
  const leaving = new Set(
    load.flatMap(({ kind, node, change }) => (kind === 'leave' ? [node] : (change?.remove ?? []))),
  );
  const steady = range(validators).filter((one) => !faulty.has(one) && !leaving.has(one));
  return random.some(steady, Math.max(2, 2 * faulty.size + 1));
}

/** The scenario with people, what becomes of them, and faults where it happens. */
export function withLives(scenario: Scenario): Scenario {
  const { seed, validators, observers, duration_ms, traitors, clones, skew_ms } = scenario;
  if (clones.length > 0) return scenario;
  const random = randomOf(seed, 'lives of members');
  const comers = validators > 7 ? 1 : random.between(1, 2);
  const cast = { comers, guests: 2 * random.between(1, 2) };
  const nodes = validators + observers + comers;
  const staying = stayingOf(random, scenario);
  const betrayed = traitors.map(({ author }) => author);
  const setBack = scenario.faults.flatMap((one) => (one.kind === 'rollback' ? one.nodes : []));
  const here = range(validators + observers - (scenario.newcomers ?? 0));
  const roles: Roles = {
    guests: range(cast.guests).map((index) => nodes + index),
    comers: range(comers).map((index) => nodes - comers + index),
    movable: here.filter(
      (one) => ![...staying, ...betrayed, ...setBack].includes(one) && !isWhole(scenario, one),
    ),
    staying,
    validators: range(validators).filter((one) => !betrayed.includes(one)),
    traitors: betrayed,
  };
  const load: LoadOp[] = [];
  const faults: Fault[] = [];
  const net = { validators, nodes, traitors, duration_ms, spare: 0 };
  const tales = [guestTale, comerTale, ...random.some(TALES, random.between(2, 5))];
  for (const [number, tale] of tales.entries()) {
    let at_ms = random.below(duration_ms * 0.5);
    for (const step of tale(random, roles)) {
      const node = random.below(random.chance(0.7) ? validators : nodes);
      load.push({ at_ms, node, key: `k${random.below(20)}`, value: `${number}`, ...step });
      if (random.chance(0.15)) {
        const kind = random.pick(NEAR);
        const parts = FAULTS[kind].draw(random, net);
        const for_ms = random.between(5, random.pick([300, 900, 2000]));
        if (parts) faults.push({ kind, at_ms, for_ms, nodes: [], amount: 0, ...parts });
      }
      at_ms += random.between(5, random.pick([60, 300, duration_ms * 0.15]));
    }
  }
  const { configs } = scenario;
  const sync = random.chance(0.5) ? ('snapshot' as const) : ('full' as const);
  const coming = range(comers).map(() => ({ sync, retention: 'archive' as const }));
  return {
    ...scenario,
    observers: observers + comers,
    lives: cast,
    skew_ms: [...skew_ms, ...range(skew_ms.length > 0 ? comers : 0).map(() => 0)],
    ...(configs && { configs: [...configs, ...coming] }),
    faults: [...scenario.faults, ...faults].toSorted((a, b) => a.at_ms - b.at_ms),
    load: [...scenario.load, ...load.map((op, i) => numbered(op, i))].toSorted(
      (a, b) => a.at_ms - b.at_ms,
    ),
  };
}

/** Where logs are pruned one node keeps all of it, and is there to the end. */
function isWhole({ configs }: Scenario, index: number): boolean {
  return configs !== undefined && Object.keys(configs[index] ?? {}).length === 0;
}

/** Milliseconds for an isolation, a name for an invite. */
function numbered(op: LoadOp, index: number): LoadOp {
  if (op.kind === 'isolate' || op.kind === 'judge') return { ...op, value: `${300 + 170 * index}` };
  return { ...op, value: `${op.value}/${index}` };
}

const about = (kind: LoadName, subject: number, amount = 0): Step => ({
  kind,
  life: { subject, amount },
});

/** In the log all the same: the node that takes it knows better. */
const forced = (step: Step): Step => ({
  ...step,
  life: { subject: 0, ...step.life, isForced: true },
});

/** Ways out of membership, and back where there is one. */
const ENDS: readonly ((subject: number) => readonly Step[])[] = [
  (one) => [about('remove', one)],
  (one) => [about('cordon', one), about('remove', one)],
  (one) => [about('drain', one), about('retire', one)],
  (one) => [about('drainSelf', one), about('retireSelf', one)],
  (one) => [about('cordon', one), about('drain', one), about('uncordon', one)],
  (one) => [about('cordon', one), about('uncordon', one)],
  (one) => [about('revoke', one), about('rekey', one)],
  (one) => [about('revoke', one)],
];

/** A guest comes, writes, and meets an end; what it says afterwards must be void. */
const guestTale: Tale = (random, { guests }) => {
  const guest = random.pick(guests);
  const how = random.chance(0.6) ? INVITES.used : random.pick(Object.values(INVITES));
  const key = random.chance(0.3) ? { key: 'labelled' } : {};
  const speak = (): Step[] => range(random.between(1, 3)).map(() => about('speak', guest));
  const middle = random.pick([
    [about('describe', guest, random.below(6))],
    [about('deny', guest, random.below(DENIALS.length)), ...speak()],
    [about('assign', guest, 0), about('deny', guest, 1), ...speak(), about('assign', guest, 1)],
    [about('isolate', guest, random.between(1, 5)), ...speak()],
    [],
  ]);
  const again = random.chance(0.3) ? [about('join', guest)] : [];
  const end = random.chance(0.8) ? random.pick(ENDS)(guest) : [];
  const after = [about('ghost', guest), about('speak', guest), about('ghost', guest)];
  const join = { ...about('join', guest, how), ...key };
  return [join, ...speak(), ...middle, ...speak(), ...end, ...after, ...again];
};

/** A node comes, takes a seat perhaps, and goes or stays. */
const comerTale: Tale = (random, { comers }) => {
  const comer = random.pick(comers);
  const how = random.chance(0.8) ? INVITES.used : random.pick(Object.values(INVITES));
  const join = { ...about('join', comer, how), key: random.pick(['observer', 'validator']) };
  const put = (): Step => ({ kind: 'put', node: comer });
  const middle = random.pick([
    [about('isolate', comer, random.between(3, 5)), put()],
    [about('cordon', comer), seat([comer], []), about('uncordon', comer), seat([comer], [])],
    [about('describe', comer, random.below(3)), about('deny', comer, random.below(5)), put()],
    [],
  ]);
  const end = random.chance(0.6) ? random.pick(ENDS)(comer) : [];
  const after = end.length > 0 ? [about('ghost', comer), put()] : [put()];
  return [join, put(), ...middle, put(), ...end, ...after];
};

function seat(add: readonly number[], remove: readonly number[]): Step {
  return { kind: 'committee', change: { add, remove } };
}

const TALES: readonly Tale[] = [
  guestTale,
  comerTale,
  /** A node that was always there goes, or loses its key, or its seat. */
  (random, { movable }) => {
    if (movable.length === 0) return [];
    const one = random.pick(movable);
    const put = (): Step => ({ kind: 'put', node: one });
    const end = random.pick([
      ...ENDS.map((tell) => tell(one)),
      [seat([], [one]), seat([one], [])],
      [about('drain', one), about('uncordon', one), seat([one], [])],
      [about('revoke', one), about('rekey', one), seat([one], [])],
    ]);
    return [put(), put(), ...end, about('ghost', one), put(), put()];
  },
  /** Rules come and go again. */
  (random, { guests, staying, movable }) => {
    const subject = random.pick([...guests, ...staying, ...movable]);
    const form = random.below(DENIALS.length);
    const back = random.pick([
      [about('allow', subject, form)],
      [{ ...about('rollback', subject, 1), key: random.pick(['', 'if']) }],
      [forced({ ...about('rollback', subject, random.between(0, 3)), key: 'if' })],
      [forced(about('allow', subject, random.below(DENIALS.length)))],
    ]);
    const wrong = random.chance(0.5) ? [about('misrule', subject, random.below(4))] : [];
    return [
      about('deny', subject, form),
      ...wrong.map((step) => (random.chance(0.5) ? forced(step) : step)),
      about('assign', random.pick(guests), 0),
      about('deny', subject, random.below(DENIALS.length)),
      ...back,
      { kind: 'put' },
    ];
  },
  /** What is denied to those who sit is asked of somebody who sits now and then. */
  (random, { movable, comers, staying }) => {
    const one = random.pick([...movable, ...comers]);
    const put = (): Step => ({ kind: 'put', node: random.pick([one, ...staying]) });
    // a node refuses what is denied, unless another one has acknowledged it
    const say = (): Step => forced(about('speak', one));
    const [rule, out, back] = [about('deny', one, 3), seat([], [one]), seat([one], [])];
    const come: Step = { ...about('join', one), key: 'observer' };
    const turns = comers.includes(one) ? [come, put(), say(), rule, back] : [say(), rule, put()];
    return [...turns, say(), put(), out, say(), put(), back, say(), put(), out, say()];
  },
  /** Who may not tries it, and what is not legal is tried; nodes order it all the same. */
  (random, { guests, movable, comers, staying }) => {
    const [by, subject] = [random.pick(guests), random.pick([...guests, ...movable, ...comers])];
    const kinds: LoadName[] = ['remove', 'cordon', 'revoke', 'deny', 'rollback', 'isolate'];
    const stolen = random.some(kinds, 2).map((kind): Step => ({
      kind,
      life: { subject: random.pick([subject, ...staying]), by, isForced: true },
    }));
    const steps: LoadName[] = ['uncordon', 'retire', 'cordon', 'drain', 'rekey', 'uncordon'];
    const illegal = random.some(steps, 2).map((kind) => forced(about(kind, subject)));
    return [about('join', by), ...stolen, ...illegal];
  },
  /** Somebody is accused: by one alone, or by enough; and a grade is asked for, due or not. */
  (random, { validators, guests, staying, movable }) => {
    const subject = random.pick([...guests, ...staying, ...movable]);
    const others = validators.filter((one) => one !== subject);
    const accusers = random.some(others, random.pick([1, 1, 2, 3]));
    const judge = (by: number, amount: number): Step => ({
      kind: 'judge',
      life: { subject, by, amount },
    });
    const judges = random.some(others, 2);
    return [
      about('join', guests[0] ?? subject),
      ...accusers.map((by): Step => ({ kind: 'report', life: { subject, by, amount: 2 } })),
      ...range(3).flatMap(() => judges.map((by) => judge(by, random.pick([0, 0, 1, 2])))),
    ];
  },
  /** Traitors are judged by the evidence that is there. */
  (random, { validators, traitors, staying }) => {
    const subject = random.pick(traitors.length > 0 ? traitors : staying);
    const others = validators.filter((one) => one !== subject);
    return range(4).map((): Step => ({
      kind: 'judge',
      life: { subject, by: random.pick(others.length > 0 ? others : validators), amount: 0 },
    }));
  },
  /** An operator isolates one after the other. */
  (random, { staying, movable, guests }) => {
    const subjects = random.some([...staying, ...movable, ...guests], 3);
    const isolate = (one: number): Step => about('isolate', one, random.between(3, 5));
    const write = (one: number): Step =>
      guests.includes(one) ? about('speak', one) : { kind: 'put', node: one };
    const [last] = subjects;
    return [
      ...subjects.flatMap((one): Step[] => [isolate(one), write(one)]),
      ...(last === undefined ? [] : [about('recover', last)]),
    ];
  },
];
