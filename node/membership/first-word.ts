import type { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { isUnseen, readMember } from '#projections/index.ts';
import { addressesOf } from './addresses.ts';

/** The pause after the first refusal; each further one doubles it. */
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 60_000;

/**
 * A validator that took its seat says where it is, or what the ledger says of that: the block that
 * carries its word shows that it runs. In a quiet network nothing else would, and no other newcomer
 * gets a seat before (docs/epochs.md). Looks now and at every epoch, and where its word is refused
 * (a full pool, a key about to be replaced) again after a growing pause, until it was seen; returns
 * how to end that.
 */
export function sayFirstWord(
  core: Pick<Core, 'rows' | 'author' | 'onEpoch'>,
  network: Pick<ManagedNetwork, 'status'>,
  self: Id,
  { clock, log }: { readonly clock: Pick<Clock, 'after'>; readonly log: Log },
): () => void {
  let pause_ms = PAUSE_MS;
  let isBusy = false;
  let isOver = false;
  let cancel: (() => void) | undefined;
  const say = async (addrs: readonly string[]): Promise<void> => {
    isBusy = true;
    try {
      // whatever else it authors does the same
      await core.author('member.describe/1', { actor: Uint8Array.fromHex(self), addrs }, true);
      pause_ms = PAUSE_MS;
    } catch (error) {
      log.warn({ code: codeOf(error) }, 'the new validator could not say where it is');
      if (isOver) return;
      cancel = clock.after(pause_ms, look);
      pause_ms = Math.min(2 * pause_ms, PAUSE_MS_MAX);
    } finally {
      isBusy = false;
    }
  };
  const look = (): void => {
    const rows = core.rows('members', 'final');
    if (isOver || isBusy || !isUnseen(rows, self)) return;
    cancel?.();
    void say(readMember(rows, self)?.addrs ?? addressesOf(network.status().addrs));
  };
  look();
  const endEpochs = core.onEpoch(look);
  return () => {
    isOver = true;
    cancel?.();
    endEpochs();
  };
}
