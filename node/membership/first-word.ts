import type { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Id, Log } from '#ledger/ports.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { isUnseen, readMember } from '#projections/index.ts';
import { addressesOf } from './addresses.ts';

/**
 * A validator that took its seat says where it is, or what the ledger says of that: the block that
 * carries its word shows that it runs. In a quiet network nothing else would, and no other newcomer
 * gets a seat before (docs/epochs.md). Looks now and at every epoch; returns how to end that.
 */
export function sayFirstWord(
  core: Pick<Core, 'rows' | 'author' | 'onEpoch'>,
  network: Pick<ManagedNetwork, 'status'>,
  self: Id,
  log: Log,
): () => void {
  const look = (): void => {
    const rows = core.rows('members', 'final');
    if (!isUnseen(rows, self)) return;
    const addrs = readMember(rows, self)?.addrs ?? addressesOf(network.status().addrs);
    const body = { actor: Uint8Array.fromHex(self), addrs };
    // whatever else it authors does the same
    core.author('member.describe/1', body, true).catch((error: unknown) => {
      log.warn({ code: codeOf(error) }, 'the new validator could not say where it is');
    });
  };
  look();
  return core.onEpoch(look);
}
