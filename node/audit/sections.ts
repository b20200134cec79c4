import { X0tError } from '#ledger/errors.ts';
import { codeOf } from '#ledger/errors.ts';
import { encodeBody, splitStored } from '#ledger/audit/body.ts';
import type { StoredBlock } from '#ledger/audit/body.ts';
import { placed } from '#ledger/audit/place.ts';
import { epochOfBlockKey, prefixRange, storeKeys } from '#ledger/keys.ts';
import type { BlockStore, Id } from '#ledger/ports.ts';

/** A stored block as the two sections of an export. */
export interface StoredSections {
  /** The row's key. */
  readonly row: string;
  /** The id in the row's key. */
  readonly id: Id;
  readonly epoch: number;
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly keyIds: readonly Id[];
}

/** All rows of blocks. */
export const ALL_BLOCKS = prefixRange('b/');

/** The blocks of a store by epoch, round, author and id; throws `store_corrupt` with the row. */
export async function* storedBlocks(
  store: Pick<BlockStore, 'range'>,
): AsyncIterable<StoredSections> {
  for await (const [row, value] of store.range(ALL_BLOCKS)) {
    const stored = split(row, value);
    yield {
      row,
      id: row.slice(-64),
      epoch: epochOfBlockKey(row),
      header: stored.header,
      body: encodeBody(stored),
      keyIds: stored.keyIds,
    };
  }
}

function split(row: string, value: Uint8Array): StoredBlock {
  const place = { kind: 'body', row, block: row.slice(-64) } as const;
  try {
    return splitStored(value);
  } catch (error) {
    if (codeOf(error) === 'store_corrupt') throw placed(error, place);
    const message = 'A stored block is damaged: take a copy from a peer.';
    throw placed(new X0tError('store_corrupt', message, {}, { cause: error }), place);
  }
}

/** A COSE_Key of the store. */
export function storedKey(store: Pick<BlockStore, 'get'>, id: Id): Uint8Array {
  const key = store.get(storeKeys.coseKey(id));
  if (key) return key;
  const row = storeKeys.coseKey(id);
  const place = { kind: 'key', row };
  throw new X0tError('store_corrupt', 'The key of a stored block is gone.', place);
}
