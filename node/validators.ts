import type { Core } from '#ledger/core.ts';
import type { Id, Log } from '#ledger/ports.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { listMembers, readMember } from '#projections/index.ts';
import { subjectOf } from '#projections/members-lifecycle.ts';
import type { Member } from '#projections/index.ts';

const DESCRIBE_KIND = 'member.describe/1';

/**
 * Keeps the node connected to the validators of every epoch, where the ledger says that they are:
 * who moves says so by `member.describe/1`, and what it said before counts no more. Of observers
 * it is told too, where they are linked or were. Those who left are no longer dialled from the next
 * epoch on, unless the configuration names them. An address that cannot be read is left, since it
 * is what an operator wrote. The result ends it.
 */
export function reachValidators(
  core: Pick<Core, 'rows' | 'onEpoch' | 'onFinal'>,
  network: Pick<ManagedNetwork, 'tellAddresses' | 'setUndialled'>,
  self: Id,
  log: Log,
): () => void {
  const rows = () => core.rows('members', 'final');
  const tell = (member: Member): void => {
    const { actor, author, peer, addrs = [] } = member;
    if (actor === self || peer === undefined) return;
    if (author === undefined && !isFollower(member)) return;
    for (const addr of network.tellAddresses(peer, addrs, author !== undefined)) {
      log.warn({ actor, addr }, 'an address of a member is none');
    }
  };
  const reach = (): void => {
    const members = listMembers(rows()).filter(({ actor }) => actor !== self);
    for (const member of members) tell(member);
    const former = members.filter((one) => one.author === undefined && !isFollower(one));
    const seated = new Set(members.flatMap((one) => (one.author === undefined ? [] : one.peer)));
    const gone = new Set(former.flatMap(({ peer = [] }) => peer));
    network.setUndialled(gone.difference(seated));
  };
  reach();
  const stops = [
    core.onEpoch(reach),
    core.onFinal((events) => {
      // a snapshot took the place of a part of the log
      if (events.length === 0) reach();
      const moved = events.filter(
        ({ entry, verdict }) => verdict === 0 && entry.event.kind === DESCRIBE_KIND,
      );
      const whom = moved.map(({ entry: { event } }) => subjectOf(event.actor, event.body));
      for (const actor of new Set(whom)) {
        const member = readMember(rows(), actor);
        if (member) tell(member);
      }
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** A node that came to follow, or waits for its seat: it is dialled where it was seen, as any. */
function isFollower({ roles, seeksSeat, state = 'active' }: Member): boolean {
  if (state === 'retired' || state === 'removed') return false;
  if (state === 'joining' || seeksSeat === true) return true;
  return roles.includes('observer') || roles.includes('auditor');
}
