import { decode, encode } from './codec.ts';
import { decodeEntry, signingKeyId } from './event.ts';
import type { Entry } from './event.ts';
import { prefixRange, storeKeys } from './keys.ts';
import type { BlockStore, Id, StoreOp } from './ports.ts';
import type { Pending } from './pool.ts';

/**
 * The pool's part of the store: signed entries that were acknowledged and are not final, and own
 * bare ones that an epoch left over.
 */

/** The operations that keep a pending event, and the key of a signed one. */
export function pendingOps(
  { entry, coseKey, isOwn }: Pending,
  hasKey: (id: Id) => boolean,
): StoreOp[] {
  const ops: StoreOp[] = [
    { type: 'put', key: storeKeys.pending(entry.id), value: encode([entry.bytes, isOwn]) },
  ];
  const keyId = signingKeyId(entry.event);
  if (coseKey && !hasKey(keyId)) {
    ops.push({ type: 'put', key: storeKeys.coseKey(keyId), value: coseKey });
  }
  return ops;
}

/** What was pending when the node stopped. The signatures were checked before they were kept. */
export async function* readPending(store: Pick<BlockStore, 'get' | 'range'>): AsyncIterable<{
  readonly entry: Entry;
  readonly coseKey: Uint8Array | undefined;
  readonly isOwn: boolean;
}> {
  for await (const [, value] of store.range(prefixRange('p/'))) {
    const [bytes, isOwn] = decode(value) as [Uint8Array, boolean];
    const entry = decodeEntry(bytes);
    const key = entry.sign1 && store.get(storeKeys.coseKey(signingKeyId(entry.event)));
    yield { entry, coseKey: key, isOwn };
  }
}
