import { settleBare } from '#ledger/epoch-turn.ts';
import { heldKey } from '#ledger/held-keys.ts';
import type { Self } from '#ledger/held-keys.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { BlockStore, StoreOp } from '#ledger/ports.ts';
import type { Restored } from '#ledger/replica-ports.ts';

/**
 * Own bare events after a snapshot was put in place: only a node that seals, with the key that they
 * name, carries them as they are; else they are signed, or forgotten. Returns what keeps that: the
 * pool's rows outlive a snapshot. `hasForgotten`: what the node knew of itself before.
 */
export function settleInstalled(
  { pool, orderer: { committee }, hasForgotten }: Pick<
    Restored,
    'pool' | 'orderer' | 'hasForgotten'
  >,
  self: Self,
  store: Pick<BlockStore, 'get'>,
  hadForgotten: boolean,
): Promise<StoreOp[]> {
  const author = committee.indexOf(self.actor);
  const seatKey = author === undefined ? undefined : committee.keyIdAt(author);
  const canSeal =
    seatKey !== undefined &&
    heldKey(self, seatKey) !== undefined &&
    !hasForgotten &&
    !hadForgotten;
  return settleBare(pool, self, canSeal ? seatKey : undefined, (id) => {
    return store.get(storeKeys.coseKey(id)) !== undefined;
  });
}
