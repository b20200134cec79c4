import { keyId } from '#ledger/cose.ts';
import { ROTATE_KIND, rotateBody } from '#ledger/rotation.ts';
import { clientEvent, persist } from './client.ts';
import type { Act } from './load.ts';

/** Requests that change the committee. */

/** Nodes by index that come into the committee, and that leave it. */
export interface Change {
  readonly add: readonly number[];
  readonly remove: readonly number[];
}

/**
 * Verdicts of an operator's change: applied, or refused since it came too late or twice. Seats are
 * never too few or too many, and no two nodes have one name.
 */
const CHANGED: readonly number[] = [0, 513, 514, 517, 520];
/** Applied, or the validator had lost its seat before. */
const LEFT: readonly number[] = [0, 514];
/** Applied, or after another rotation of the same node. */
const ROTATED: readonly number[] = [0, 520];

const KINDS = {
  /** The operator takes nodes into the committee and out of it, all at once. */
  committee: async (world, op) => {
    const { add, remove } = op.change ?? { add: [], remove: [] };
    const joining = add.map((index) => {
      const { name, who } = world.at(index);
      // who has rotated is a member
      const isMember = world.presentKey(index, op.node) !== who;
      if (isMember) return { actor: Uint8Array.fromHex(who.actor) };
      return { key: who.coseKey, peer: name, stake: 1 };
    });
    const leaving = remove.map((index) => Uint8Array.fromHex(world.at(index).who.actor));
    const body = {
      ...(joining.length > 0 && { add: joining }),
      ...(leaving.length > 0 && { remove: leaving }),
    };
    const entry = await clientEvent(world, op, { kind: 'committee.change/1', body });
    await persist(world, entry, op.node, CHANGED);
  },
  /** A validator gives up its seat. */
  leave: async (world, op) => {
    const at = world.at(op.node).incarnation;
    const entry = await world.coreOf(op.node)?.author('committee.leave/1', {}, true);
    if (entry && world.isSame(op.node, at)) world.acknowledged(op.node, entry.id, LEFT);
  },
  /** A node signs with a new key from then on. */
  rotate: async (world, op) => {
    const node = world.at(op.node);
    const { core, incarnation: at } = node;
    if (!core || node.driver) return;
    const { actor } = node.who;
    const { coseKey } = world.presentKey(op.node, op.node);
    const next = world.freshKey(node.name);
    const about = { chain: world.chain.id, actor, key: keyId(coseKey) };
    const entry = await core.author(ROTATE_KIND, await rotateBody(about, next), true);
    if (world.isSame(op.node, at)) world.acknowledged(op.node, entry.id, ROTATED);
  },
} as const satisfies Record<string, Act>;

export type ChangeName = keyof typeof KINDS;

/** They are drawn by `changes.ts`, not with the rest of the load. */
export const CHANGES: Readonly<Record<ChangeName, Act>> = KINDS;
