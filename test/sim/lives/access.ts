import type { Core } from '#ledger/core.ts';
import type { Event } from '#ledger/event.ts';
import { JOIN_KIND, readJoin } from '#ledger/join.ts';
import type { Clock, Id } from '#ledger/ports.ts';
import { isolationAccess } from '#node/posture/access.ts';
import { keyOf } from '#projections/member-keys.ts';
import { isGone } from '#projections/members-lifecycle.ts';
import { rowOf } from '#projections/members-rows.ts';
import { readInvite } from '#projections/index.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import { isFinalAt } from '#test/sim/finality.ts';
import type { SimNode } from '#test/sim/node.ts';

/**
 * Whom a node lets in by what is final there, as `node/membership/pairs.ts` and
 * `node/posture/access.ts` say for real links: who sits in its epoch's committee always; nobody who
 * left, has no key or is cut off; who comes by an invite once its join is final. Nodes of the
 * genesis are let in although the ledger has no libp2p key of observers.
 */
export function admitting(
  core: Core,
  clock: Pick<Clock, 'wall_ms'>,
  isComer: (peer: string) => boolean,
): (peer: FakeNetwork) => boolean {
  return ({ self, actor: proven }) => {
    const { committee } = core.replica;
    const actor = core.actorOf(proven);
    if (committee.indexOf(actor) !== undefined) return true;
    const rows = core.rows('members', 'final');
    const row = rowOf(rows, actor);
    if (!row) return !isComer(self);
    if (isGone(row) || keyOf(actor, rows) === undefined) return false;
    return isolationAccess(core, actor, clock).isAdmitted;
  };
}

/**
 * An event whose author left, or lost its key, before the event got a number gets none; nor does a
 * join whose invite another one has used.
 */
export function isVoid(honest: readonly SimNode[], id: Id, event: Event): boolean {
  if (honest.some((node) => isFinalAt(node, id))) return false;
  return honest.some(({ core }) => {
    if (!core) return false;
    const invite = event.kind === JOIN_KIND && readJoin(event.body)?.invite.toHex();
    const held = invite && readInvite(core.rows('members', 'final'), invite, 0);
    return (held && held.state !== 'open') || !core.replica.fold.reducer.counts(event);
  });
}
