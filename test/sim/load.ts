import { entryOf, signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { bodyOf, clientEvent, persist } from './client.ts';
import { CHANGES } from './committee.ts';
import type { Change, ChangeName } from './committee.ts';
import { MEMBER_ACTS } from '#test/sim/lives/acts.ts';
import type { MemberAct } from '#test/sim/lives/acts.ts';
import type { Life } from '#test/sim/lives/people.ts';
import { RULE_ACTS } from '#test/sim/lives/rules.ts';
import type { RuleAct } from '#test/sim/lives/rules.ts';
import type { NetShape } from './scenario.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/** One request to a node. New kinds of load are added to `LOADS`. */
export interface LoadOp {
  readonly at_ms: number;
  readonly kind: LoadName;
  readonly node: number;
  readonly key: string;
  readonly value: string;
  /** What `committee` does. */
  readonly change?: Change;
  /** Whom it is about, where members come and go (`lives/`). */
  readonly life?: Life;
}

/** Verdicts that an acknowledged event may end with. */
const APPLIED: readonly number[] = [0];
const CONDITIONAL: readonly number[] = [0, 256];
const EXPIRING: readonly number[] = [0, 1];

export type Act = (world: World, op: LoadOp) => Promise<unknown>;

/** The node authors and signs it; the answer promises that it is kept. */
const authored =
  (kind: string, bodyFor: (op: LoadOp) => Body, verdicts: readonly number[]): Act =>
  async (world, op) => {
    const at = world.at(op.node).incarnation;
    const entry = await world.coreOf(op.node)?.author(kind, bodyFor(op), true);
    if (entry && world.isSame(op.node, at)) world.acknowledged(op.node, entry, verdicts);
  };

const KINDS = {
  put: authored('kv.put/1', bodyOf, APPLIED),
  delete: authored('kv.delete/1', ({ key }) => ({ key }), APPLIED),
  /** Sets a key if it is not there. */
  create: authored('kv.put/1', (op) => bodyOf(op, { ifSeq: 0 }), CONDITIONAL),
  /** The node authors it bare: nothing is promised before it is final. */
  bare: async (world, op) => {
    const entry = await world.coreOf(op.node)?.author('kv.put/1', bodyOf(op), false);
    if (entry) world.noted(entry.id);
  },
  client: async (world, op) => persist(world, await clientEvent(world, op), op.node, APPLIED),
  /** The same event by the same client at two nodes at once. */
  twice: async (world, op) => {
    const entry = await clientEvent(world, op);
    const other = (op.node + 1) % world.nodes.length;
    await Promise.all([
      persist(world, entry, op.node, APPLIED),
      persist(world, entry, other, APPLIED),
    ]);
  },
  /** The client signs one event twice: signatures differ, and the event is the same. */
  resigned: async (world, op) => {
    const one = await clientEvent(world, op);
    const two = await signEvent(one.event, world.client.signer);
    const other = (op.node + 1) % world.nodes.length;
    await Promise.all([
      persist(world, one, op.node, APPLIED),
      persist(world, two, other, APPLIED),
    ]);
  },
  /** Two different events with one sequence number: one of them at most is applied. */
  conflict: async (world, op) => {
    const one = await clientEvent(world, op);
    const two = entryOf({ ...one.event, body: bodyOf({ ...op, value: `${op.value}'` }) });
    const signed = await signEvent(two.event, world.client.signer);
    const other = (op.node + 1) % world.nodes.length;
    await Promise.all([
      persist(world, one, op.node, [0, 2]),
      persist(world, signed, other, [0, 2]),
    ]);
  },
  /** It may be too late when it is ordered. */
  expiring: async (world, op) => {
    const notAfter_ms = world.clock.wall_ms() + 300;
    await persist(world, await clientEvent(world, op, { notAfter_ms }), op.node, EXPIRING);
  },
} as const satisfies Record<string, Act>;

export type LoadName = keyof typeof KINDS | ChangeName | MemberAct | RuleAct;

export const LOADS: Readonly<Record<LoadName, Act>> = {
  ...KINDS,
  ...CHANGES,
  ...MEMBER_ACTS,
  ...RULE_ACTS,
};

const MIXES: readonly (readonly LoadName[])[] = [
  ['put'],
  ['put', 'bare', 'client'],
  ['client', 'twice', 'resigned', 'conflict'],
  Object.keys(KINDS) as LoadName[],
];

/** Single requests, bursts, or a steady stream that passes the horizon. */
export function drawLoad(
  random: Random,
  net: NetShape,
  counts: readonly number[],
): LoadOp[] {
  const mix = random.pick(MIXES);
  const count = random.pick(counts);
  const isSteady = random.chance(0.5);
  const ops: LoadOp[] = [];
  for (let i = 0; i < count; i++) {
    const at_ms = isSteady
      ? Math.floor((net.duration_ms * i) / count)
      : random.below(4) * (net.duration_ms / 4) + random.below(40);
    const kind = random.pick(mix);
    const value = `${i}${'.'.repeat(random.chance(0.05) ? random.below(4000) : 0)}`;
    ops.push({ at_ms, kind, node: random.below(net.nodes), key: `k${random.below(6)}`, value });
  }
  return ops.toSorted((a, b) => a.at_ms - b.at_ms);
}
