import type { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Id, Log } from '#ledger/ports.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { listMembers } from '#projections/index.ts';

/**
 * Keeps the node connected to the validators of every epoch: those who joined by an event have said
 * where they can be reached. Addresses are taken once; one that cannot be read is left, since they
 * are what an operator wrote.
 */
export function reachValidators(
  core: Pick<Core, 'rows' | 'onEpoch'>,
  network: Pick<ManagedNetwork, 'addBootstrap'>,
  self: Id,
  log: Log,
): void {
  const known = new Set<string>();
  const reach = () => {
    for (const { actor, author, peer, addrs = [] } of listMembers(core.rows('members', 'final'))) {
      if (actor === self || author === undefined || peer === undefined) continue;
      for (const addr of addrs) {
        const full = addr.includes('/p2p/') ? addr : `${addr}/p2p/${peer}`;
        if (known.has(full) || !full.endsWith(`/p2p/${peer}`)) continue;
        known.add(full);
        try {
          network.addBootstrap(full);
        } catch (error) {
          log.warn({ actor, addr, code: codeOf(error) }, 'an address of a validator is none');
        }
      }
    }
  };
  reach();
  core.onEpoch(reach);
}
