import { sign } from '#ledger/cose.ts';
import type { Body } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import { inviteId } from '#ledger/invite.ts';
import { JOIN_KIND, peerStatement, useStatement } from '#ledger/join.ts';
import { REKEY_KIND, REVOKE_KIND, rekeyBody } from '#ledger/rotation.ts';
import { bodyOf, clientEvent } from '#test/sim/client.ts';
import type { Act, LoadOp } from '#test/sim/load.ts';
import type { World } from '#test/sim/world.ts';
import { authorSoon, hand, peerOf, saidBy } from './people.ts';
import type { Life, People } from './people.ts';

/** What operators and members do to membership and keys. */

/** What an act of this part is about; each has it. */
export function lifeOf({ life = { subject: 0 } }: LoadOp): Life {
  return life;
}

export function peopleOf({ people }: World): People {
  if (!people) throw new Error('a run without people');
  return people;
}

/** The operator does it, or whoever is named. */
export async function operate(
  world: World,
  op: LoadOp,
  kind: string,
  body: Body,
): Promise<boolean> {
  const { by } = lifeOf(op);
  if (by !== undefined) {
    const { entry, key } = await saidBy(world, by, op.node, kind, body);
    return hand(world, entry, key.coseKey, op);
  }
  const entry = await clientEvent(world, op, { kind, body });
  return hand(world, entry, world.client.coseKey, op);
}

/** An operator's step with a member: its body is who it is about, and more. */
const step = (kind: string, more: Body = {}): Act => async (world, op) => {
  const { actor } = peopleOf(world).whoIs(lifeOf(op).subject);
  await operate(world, op, kind, { actor: bytesOf(actor), ...more });
};

/** A member does it itself; a node in its own lane. */
const own = (kind: string): Act => async (world, op) => {
  const { subject } = lifeOf(op);
  const people = peopleOf(world);
  const body = { actor: bytesOf(people.whoIs(subject).actor) };
  if (people.isNode(subject)) await authorSoon(world, subject, kind, body, 1);
  else await operate(world, { ...op, life: { subject, by: subject } }, kind, body);
};

/** How an invite fares: `amount` of `join`. */
export const INVITES = {
  used: 0,
  /** The operator takes it back as it is used. */
  withdrawn: 1,
  /** It ends as it is used. */
  expiring: 2,
  /** The libp2p key has signed for somebody else. */
  badProof: 3,
  /** Another guest uses it at the same time. */
  shared: 4,
} as const;

const LABELS = [[], ['tier=low'], ['tier=high', 'zone=eu']] as const;
const ROLES = [[], ['participant'], ['operator']] as const;

async function joinBody(world: World, key: World['client'], invite: string, person: number,
  hasBadProof: boolean): Promise<Body> {
  const people = peopleOf(world);
  const { id: chain } = world.chain;
  const { actor, coseKey } = people.whoIs(person);
  const peer = people.isNode(person) ? peerOf(person) : undefined;
  const spoken = hasBadProof ? world.client.actor : actor;
  return {
    key: coseKey,
    invite: bytesOf(invite),
    inviteKey: key.coseKey,
    proof: await sign(key.signer, 'invite', useStatement(chain, invite, actor)),
    ...(peer && {
      peer: peer.peer,
      peerProof: peer.sign(peerStatement(chain, spoken, peer.peer)),
    }),
  };
}

const KINDS = {
  /** The operator invites somebody, who joins; a node says then that it is ready. */
  join: async (world, op) => {
    const people = peopleOf(world);
    const { subject, amount = 0 } = lifeOf(op);
    const isNode = people.isNode(subject);
    const key = world.actor(`invite ${op.value}`);
    const isBrief = amount === INVITES.expiring;
    const terms = {
      roles: isNode ? [op.key === 'validator' ? 'validator' : 'observer'] : ['participant'],
      labels: op.key === 'labelled' ? ['tier=low'] : [],
      capabilities: [],
      addrs: [],
      notAfter_ms: world.clock.wall_ms() + (isBrief ? 250 : 3_600_000),
    };
    const body = { keyHash: bytesOf(key.actor), ...terms };
    const { id: chain } = world.chain;
    const id = inviteId({ ...terms, chain, issuer: world.client.actor, key: key.actor });
    if (!(await operate(world, op, 'member.invite/1', body))) return;
    const withdrawal =
      amount === INVITES.withdrawn &&
      world.sleep(150).then(() => operate(world, op, 'member.withdraw/1', { invite: bytesOf(id) }));
    const users = amount === INVITES.shared && !isNode ? [subject, subject ^ 1] : [subject];
    const uses = users.map(async (person) => {
      const join = await joinBody(world, key, id, person, amount === INVITES.badProof);
      const said = await saidBy(world, person, op.node, JOIN_KIND, join);
      return hand(world, said.entry, said.key.coseKey, { node: op.node });
    });
    await Promise.all([withdrawal, ...uses]);
    if (isNode) await authorSoon(world, subject, 'member.ready/1', {});
  },
  /** A guest writes a key. */
  speak: async (world, op) => {
    const { subject } = lifeOf(op);
    const { entry, key } = await saidBy(world, subject, op.node, 'kv.put/1', bodyOf(op));
    await hand(world, entry, key.coseKey, op);
  },
  /** The same, with its first key, at a node that has not heard of whatever became of it. */
  ghost: async (world, op) => {
    const { subject } = lifeOf(op);
    const who = peopleOf(world).whoIs(subject);
    const { entry } = await saidBy(world, subject, -1, 'kv.put/1', bodyOf(op));
    const pending = { entry, coseKey: who.coseKey, isOwn: true, due_ms: 0 };
    await world.coreOf(op.node)?.replica.submit(pending, true);
    world.noted(entry.id);
  },
  describe: async (world, op) => {
    const { subject, amount = 0 } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    const labels = LABELS[amount % LABELS.length] ?? [];
    const roles = amount >= LABELS.length ? { roles: ROLES[amount % ROLES.length] } : {};
    await operate(world, op, 'member.describe/1', { actor: bytesOf(actor), labels, ...roles });
  },
  cordon: step('member.cordon/1'),
  uncordon: step('member.uncordon/1'),
  drain: step('member.drain/1'),
  drainSelf: own('member.drain/1'),
  retire: step('member.retire/1'),
  retireSelf: own('member.retire/1'),
  remove: step('member.remove/1', { reason: 'drawn' }),
  /** The present key of somebody counts no more. */
  revoke: async (world, op) => {
    const people = peopleOf(world);
    const { actor } = people.whoIs(lifeOf(op).subject);
    const key = world.coreOf(op.node)?.replica.fold.reducer.keyOf(actor) ?? actor;
    const body = { actor: bytesOf(actor), key: bytesOf(key), reason: 'drawn' };
    await operate(world, op, REVOKE_KIND, body);
  },
  /** An operator binds another key to somebody whose key was revoked. */
  rekey: async (world, op) => {
    const { subject } = lifeOf(op);
    const { actor } = peopleOf(world).whoIs(subject);
    const next = world.freshKey(`person ${subject}`);
    const body = await rekeyBody({ chain: world.chain.id, actor }, next);
    if (!(await operate(world, op, REKEY_KIND, body))) return;
    if (peopleOf(world).isNode(subject)) world.coreOf(subject)?.keysChanged();
  },
} as const satisfies Record<string, Act>;

export type MemberAct = keyof typeof KINDS;
export const MEMBER_ACTS: Readonly<Record<MemberAct, Act>> = KINDS;
