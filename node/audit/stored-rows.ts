import type { Chain } from '#ledger/chain.ts';
import { decode } from '#ledger/codec.ts';
import { keyId } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { decodeEntry, entryJob, signingKeyId } from '#ledger/event.ts';
import { decodeRef } from '#ledger/header.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import type { BlockStore } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';

/** Rows of a store that no commit gives: keys, pending events, and the last own block. */

type Store = Pick<BlockStore, 'get' | 'range'>;

/** Every key stands under its own hash. */
export async function checkKeys(store: Store): Promise<void> {
  for await (const [row, key] of store.range(prefixRange('k/'))) {
    if (keyId(key) === row.slice(2)) continue;
    fail('store_corrupt', 'A stored key is not the one that its row names.', { kind: 'key', row });
  }
}

/** Pending events are of this chain, under their ids, and signed. */
export async function checkPending(store: Store, chain: Chain): Promise<void> {
  const engine = await loadEngine('liboqs');
  for await (const [row, value] of store.range(prefixRange('p/'))) {
    const isRight = attempt(() => {
      const [bytes, isOwn] = decode(value) as [Uint8Array, unknown];
      const entry = decodeEntry(bytes);
      const { event } = entry;
      const stored = store.get(storeKeys.coseKey(signingKeyId(event)));
      const key = stored ?? committeeKey(chain, event.actor);
      const fits = row === storeKeys.pending(entry.id) && entry.event.chain === chain.id;
      return fits && typeof isOwn === 'boolean' && key && engine.verify(entryJob(entry, key));
    });
    if (isRight === true) continue;
    const place = { kind: 'row', row, event: row.slice(2) };
    fail('store_corrupt', 'A stored pending event is damaged.', place);
  }
}

function committeeKey({ committee }: Chain, actor: string): Uint8Array | undefined {
  const author = committee.indexOf(actor);
  return author === undefined ? undefined : committee.at(author).coseKey;
}

/** The last own block is held, and its author has none in a later round. */
export async function checkOwnLast(store: Store): Promise<void> {
  const value = store.get(storeKeys.ownLast);
  if (!value) return;
  const place = { kind: 'row', row: storeKeys.ownLast };
  const own = attempt(() => decodeRef(decode(value)));
  if (!own || !store.get(storeKeys.block(own))) {
    fail('store_corrupt', 'The last own block is not in the store.', place);
  }
  const later = { gte: storeKeys.blocksOfRound(own.round + 1), lt: prefixRange('b/').lt };
  for await (const [row] of store.range(later)) {
    if (Number.parseInt(row.split('/')[2] ?? '', 16) !== own.author) continue;
    fail('store_corrupt', 'The last own block has a successor.', { ...place, later: row });
  }
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof X0tError || error instanceof TypeError) return undefined;
    throw error;
  }
}
