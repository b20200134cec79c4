import { blocksFrom } from './archive.ts';
import type { Block } from './block.ts';
import type { Chain } from './chain.ts';
import { decodeCommit } from './commit.ts';
import { Epochs } from './epochs.ts';
import { Fold } from './fold.ts';
import { storeKeys } from './keys.ts';
import { Orderer } from './orderer.ts';
import { decodeOwnLast } from './own-last.ts';
import { Pool } from './pool.ts';
import type { PoolLimits } from './pool.ts';
import { readPending } from './pool-store.ts';
import type { BlockStore, Clock, Id } from './ports.ts';
import type { Schema } from './reducer.ts';
import type { Restored } from './replica-ports.ts';

/**
 * Puts the ledger together from the store: the fold's state, the DAG above the horizon, and the
 * pool.
 */
export async function restore(
  chain: Chain,
  schema: Schema,
  actor: Id,
  limits: PoolLimits,
  { store, clock }: { readonly store: BlockStore; readonly clock: Pick<Clock, 'monotonic_ms'> },
): Promise<Restored> {
  const fold = new Fold(store, chain.genesis, schema);
  const epochs = new Epochs(chain, store);
  const { epoch } = fold.seats;
  // the fold stands in the next epoch as soon as one has ended, the node when it has the seal
  const committee = epochs.ofEpoch(epoch) ?? epochs.need(epoch - 1);
  const orderer = new Orderer(chain.id, committee, startOf(chain, fold), fold.ordererState);
  if (committee.epoch < epoch) orderer.end();
  const blocks: Block[] = [];
  for await (const block of blocksFrom(
    store,
    Math.max(1, orderer.dag.horizon + 1),
    chain.id,
    committee,
  )) {
    const { ref, header, entries } = block;
    orderer.accept({
      ...ref,
      parents: header.parents,
      ts_ms: header.ts_ms,
      hasPayload: entries.length > 0,
    });
    blocks.push(block);
  }
  markOrdered(orderer, store);
  if (!fold.ordererState) {
    await store.write(fold.ops(orderer.state), { sync: true });
    fold.written();
  }
  const pool = new Pool(limits);
  for await (const { entry, coseKey, isOwn } of readPending(store)) {
    if (!fold.isFinalEntry(entry)) {
      pool.restore({ entry, coseKey, isOwn, due_ms: isOwn ? 0 : clock.monotonic_ms() });
    }
  }
  const own = store.get(storeKeys.ownLast);
  const ownLast = own && decodeOwnLast(own);
  const ownRound = ownLast?.epoch === committee.epoch ? ownLast.ref.round : 0;
  const author = committee.indexOf(actor);
  const hasForgotten =
    store.get(storeKeys.lost) !== undefined ||
    blocks.some(({ ref }) => ref.author === author && ref.round > ownRound);
  return { fold, orderer, pool, blocks, ownLast, epochs, hasForgotten };
}

/** The time of the blocks at round 0: of the genesis, or of the last commit before the epoch. */
function startOf({ genesis }: Chain, { seats, ordererState }: Fold): number {
  return seats.epoch === 0 ? genesis.created_ms : (ordererState?.last.ts_ms ?? 0);
}

/**
 * The blocks above the horizon that commits have ordered: those of the epoch's commits whose leader
 * is above it.
 */
function markOrdered(orderer: Orderer, store: Pick<BlockStore, 'get'>): void {
  for (let { index } = orderer.state.last; index > 0; index--) {
    const row = store.get(storeKeys.commit(index));
    if (!row) return;
    const { epoch, leader, blocks } = decodeCommit(row);
    // rounds begin anew in every epoch
    if (epoch !== orderer.committee.epoch || leader.round <= orderer.dag.horizon) return;
    for (const ref of blocks) orderer.markOrdered(ref);
  }
}
