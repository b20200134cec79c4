import { assembleBlock } from './block.ts';
import type { Block } from './block.ts';
import { encode, splitByteStrings } from './codec.ts';
import type { Committee } from './committee.ts';
import { fail } from './errors.ts';
import type { Ref } from './header.ts';
import { concatBytes } from './ids.ts';
import { epochRange, storeKeys } from './keys.ts';
import type { BlockStore, Id, StoreOp } from './ports.ts';
import type { Readable } from './rows.ts';

/**
 * Blocks in the store. A key that many blocks carry is kept once, and a block names its keys: a
 * third of the bytes of client-signed load would else be the same keys again.
 */

const KEY_ID_BYTES = 32;

/** The operations that keep a block, and those of its keys that `hasKey` does not know. */
export function archiveOps(block: Block, hasKey: (id: Id) => boolean): StoreOp[] {
  const ops: StoreOp[] = [];
  const ids = block.keyIds.map((id, i) => {
    if (!hasKey(id)) {
      ops.push({ type: 'put', key: storeKeys.coseKey(id), value: block.keys[i] as Uint8Array });
    }
    return Uint8Array.fromHex(id);
  });
  const entries = block.entries.map(({ bytes }) => bytes);
  const value = encode([block.headerBytes, block.sign1, concatBytes(ids), ...entries]);
  ops.push({ type: 'put', key: storeKeys.block(block.ref, block.header.epoch), value });
  return ops;
}

/** The parts of a kept block; throws `store_corrupt`. */
function partsOf(
  value: Uint8Array,
  store: Readable,
): {
  headerBytes: Uint8Array;
  sign1: Uint8Array;
  keys: Uint8Array[];
  entries: Uint8Array[];
} {
  const [headerBytes, sign1, ids, ...entries] = splitByteStrings(value);
  if (!headerBytes || !sign1 || !ids) {
    fail('store_corrupt', 'A stored block is damaged: take a copy from a peer.');
  }
  const keys: Uint8Array[] = [];
  for (let at = 0; at < ids.length; at += KEY_ID_BYTES) {
    const id = ids.subarray(at, at + KEY_ID_BYTES).toHex();
    keys.push(
      store.get(storeKeys.coseKey(id)) ??
        fail('store_corrupt', 'The key of a stored block is gone.', { key: id }),
    );
  }
  return { headerBytes, sign1, keys, entries };
}

/** The sealed block as it goes over the wire; `undefined` when it is not held. */
export function readSealed(store: Readable, ref: Ref, epoch: number): Uint8Array | undefined {
  const value = store.get(storeKeys.block(ref, epoch));
  if (!value) return undefined;
  const { headerBytes, sign1, keys, entries } = partsOf(value, store);
  return encode([headerBytes, sign1, encode(keys), ...entries]);
}

/** A kept block, with all checks of form but no signatures; throws coded errors. */
export function readBlock(store: Readable, ref: Ref, chain: Id, committee: Committee): Block {
  const value = store.get(storeKeys.block(ref, committee.epoch));
  if (!value) fail('store_corrupt', 'A block that should be in the store is not.', { id: ref.id });
  return parseStored(value, store, chain, committee);
}

function parseStored(value: Uint8Array, store: Readable, chain: Id, committee: Committee): Block {
  const { headerBytes, sign1, keys, entries } = partsOf(value, store);
  return assembleBlock(headerBytes, sign1, keys, entries, chain, committee);
}

/** The kept blocks of an epoch from a round on, by round, author and id: parents come first. */
export async function* blocksFrom(
  store: Pick<BlockStore, 'get' | 'range'>,
  round: number,
  chain: Id,
  committee: Committee,
): AsyncIterable<Block> {
  for await (const [, value] of store.range(epochRange(committee.epoch, round))) {
    yield parseStored(value, store, chain, committee);
  }
}
