import { bytesOf } from '#ledger/ids.ts';
import { readHead } from '#governance/policy-state.ts';
import { GRADES } from '#projections/posture-grades.ts';
import { readPosture } from '#projections/posture-view.ts';
import type { Act } from '#test/sim/load.ts';
import { lifeOf, operate, peopleOf } from './acts.ts';
import { authorSoon } from './people.ts';

/** What changes policies and the posture of members. */

/** A policy that denies something, as a run draws it and as the model reads it. */
export interface Denial {
  readonly id: string;
  readonly text: (actor: string) => string;
}

const DATA = 'action in Action::"data"';

/** The prefix of keys, the role and the label that denials are about. */
export const DENIED = { prefix: 'k1', role: 'mute', label: 'tier=low' } as const;

export const DENIALS: readonly Denial[] = [
  {
    id: 'sim.actor',
    text: (actor) => `forbid (principal == Actor::"${actor}", ${DATA}, resource);`,
  },
  {
    id: 'sim.role',
    text: () => `forbid (principal in Role::"${DENIED.role}", ${DATA}, resource);`,
  },
  {
    id: 'sim.prefix',
    text: () => `forbid (principal, ${DATA}, resource in KeyPrefix::"${DENIED.prefix}");`,
  },
  {
    id: 'sim.seat',
    text: () => `forbid (principal in Role::"validator", ${DATA}, resource);`,
  },
  {
    id: 'sim.label',
    text: () =>
      `forbid (principal is Actor, ${DATA}, resource)` +
      ` when { principal.labels.contains("${DENIED.label}") };`,
  },
];

/** Changes that no network takes: they do not parse, contradict the schema, or lock all out. */
const WRONG: readonly string[] = [
  'permit (',
  'forbid (principal, action == Action::"no.such/1", resource);',
  'forbid (principal, action in Action::"policy", resource);',
  'forbid (principal, action, resource);',
];

const KINDS = {
  /** A policy comes that denies something to somebody. */
  deny: async (world, op) => {
    const { subject, amount = 0 } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    const { id, text } = DENIALS[amount % DENIALS.length] as Denial;
    await operate(world, op, 'policy.put/1', { id, text: text(actor) });
  },
  allow: async (world, op) => {
    const { amount = 0 } = lifeOf(op);
    const { id } = DENIALS[amount % DENIALS.length] as Denial;
    await operate(world, op, 'policy.delete/1', { id });
  },
  /** Back by `amount` versions of what a node knows; perhaps only if that is the present one. */
  rollback: async (world, op) => {
    const rows = world.coreOf(op.node)?.rows('policy', 'final');
    const { version: present } = rows ? readHead(rows) : { version: 0 };
    const version = Math.max(0, present - (lifeOf(op).amount ?? 1));
    const condition = op.key === 'if' ? { ifVersion: present } : {};
    await operate(world, op, 'policy.rollback/1', { version, ...condition });
  },
  /** Roles besides those of membership; none takes them away. */
  assign: async (world, op) => {
    const { subject, amount = 0 } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    const roles = amount % 2 === 0 ? [DENIED.role] : [];
    await operate(world, op, 'policy.assign/1', { principal: actor, roles });
  },
  /** A change that does not hold. */
  misrule: async (world, op) => {
    const text = WRONG[(lifeOf(op).amount ?? 0) % WRONG.length] ?? '';
    await operate(world, op, 'policy.put/1', { id: 'sim.wrong', text });
  },
  /** An operator isolates somebody, for `value` milliseconds. */
  isolate: async (world, op) => {
    const { subject, amount = 4 } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    await operate(world, op, 'posture.isolate/1', {
      actor: bytesOf(actor),
      grade: GRADES[amount] ?? 'blocked',
      reason: 'drawn',
      until_ms: world.clock.wall_ms() + Number(op.value),
      by: 'operator',
    });
  },
  recover: async (world, op) => {
    const { actor } = peopleOf(world).whoIs(lifeOf(op).subject);
    const body = { actor: bytesOf(actor), reason: 'drawn', by: 'operator' };
    await operate(world, op, 'posture.recover/1', body);
  },
  /** The node `by` says that somebody misbehaved. */
  report: async (world, op) => {
    const { subject, by = 0, amount = 2 } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    const to_ms = world.clock.wall_ms();
    const span = { from_ms: to_ms - 1, to_ms };
    const body = { actor: bytesOf(actor), what: 'invalid_message', count: amount, ...span };
    await authorSoon(world, by, 'posture.report/1', body, 1);
  },
  /**
   * The node `by` says that somebody is to be isolated by rule: as the score says, or by `amount`
   * grades more.
   */
  judge: async (world, op) => {
    const { subject, by = 0, amount = 0 } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    const core = world.coreOf(by);
    if (!core) return;
    const { fold } = core.replica;
    const now_ms = world.clock.wall_ms();
    const view = readPosture(core.rows('posture', 'final'), actor, fold.seats, now_ms);
    if (!view) return;
    const ids = view.reports.flatMap((one) => one.ids.slice(-1));
    const basis = [...(view.evidence ? [view.evidence] : []), ...ids].map(bytesOf);
    const level = Math.min(GRADES.length - 1, GRADES.indexOf(view.due) + amount);
    const isDue = level > 0 && level > GRADES.indexOf(view.grade);
    const common = { actor: bytesOf(actor), reason: 'drawn', by: 'rule' };
    const until_ms = now_ms + Number(op.value);
    if (isDue) {
      const body = { ...common, grade: GRADES[level] ?? 'none', until_ms, basis };
      await authorSoon(world, by, 'posture.isolate/1', body, 1);
    } else await authorSoon(world, by, 'posture.recover/1', common, 1);
  },
} as const satisfies Record<string, Act>;

export type RuleAct = keyof typeof KINDS;
export const RULE_ACTS: Readonly<Record<RuleAct, Act>> = KINDS;
