import type { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Id, Log, PeerName } from '#ledger/ports.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { listMembers } from '#projections/index.ts';
import type { Member } from '#projections/index.ts';

/**
 * Keeps the node connected to the validators of every epoch: those who joined by an event have said
 * where they can be reached. Those who left are no longer dialled from the next epoch on, unless
 * the configuration names them. An address that cannot be read is left, since it is what an
 * operator wrote.
 */
export function reachValidators(
  core: Pick<Core, 'rows' | 'onEpoch'>,
  network: Pick<ManagedNetwork, 'addBootstrap' | 'setUndialled'>,
  self: Id,
  log: Log,
): void {
  let known = new Set<string>();
  const add = (actor: Id, addr: string): void => {
    try {
      network.addBootstrap(addr);
    } catch (error) {
      log.warn({ actor, addr, code: codeOf(error) }, 'an address of a validator is none');
    }
  };
  const reach = (): void => {
    const seated = new Set<PeerName>();
    const former = new Set<PeerName>();
    const addresses = new Set<string>();
    for (const member of listMembers(core.rows('members', 'final'))) {
      const { actor, author, peer, addrs = [] } = member;
      if (actor === self || peer === undefined) continue;
      if (author !== undefined) seated.add(peer);
      else if (!isFollower(member)) former.add(peer);
      for (const addr of author === undefined ? [] : addrs) {
        const full = addr.includes('/p2p/') ? addr : `${addr}/p2p/${peer}`;
        if (!full.endsWith(`/p2p/${peer}`)) continue;
        addresses.add(full);
        if (!known.has(full)) add(actor, full);
      }
    }
    network.setUndialled(former.difference(seated));
    known = addresses;
  };
  reach();
  core.onEpoch(reach);
}

/** A node that came to follow, or waits for its seat: it is dialled where it was seen, as any. */
function isFollower({ roles, seeksSeat, state = 'active' }: Member): boolean {
  if (state === 'retired' || state === 'removed') return false;
  if (state === 'joining' || seeksSeat === true) return true;
  return roles.includes('observer') || roles.includes('auditor');
}
