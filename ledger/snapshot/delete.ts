import type { BlockStore, StoreOp, StoreRange } from '#ledger/ports.ts';

const BATCH = 1000;

/** Deletes a range of rows in bounded batches, in one walk over it. Idempotent. */
export async function deleteRange(store: BlockStore, range: StoreRange): Promise<void> {
  let ops: StoreOp[] = [];
  for await (const [key] of store.range(range)) {
    ops.push({ type: 'del', key });
    if (ops.length < BATCH) continue;
    await store.write(ops, { sync: false });
    ops = [];
  }
  if (ops.length > 0) await store.write(ops, { sync: false });
}
