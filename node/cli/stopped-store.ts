import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fail } from '#ledger/errors.ts';
import { dataPaths, isInitialised } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';

/**
 * Opens the store of a node that does not run, with the bytes of its genesis file, and closes it
 * again. Throws `not_initialised`, `store_missing` where the node never ran, `data_dir_locked`
 * while it runs, and what `work` throws.
 */
export async function withStore<T>(
  directory: string,
  work: (store: LevelStore, genesis: Uint8Array) => Promise<T>,
): Promise<T> {
  const paths = dataPaths(directory);
  if (!isInitialised(directory)) {
    fail('not_initialised', 'There is no node here: name its data directory.', { directory });
  }
  if (!existsSync(paths.store)) {
    fail('store_missing', 'This node never ran, so it has no log: start it first.', { directory });
  }
  const genesis = new Uint8Array(await readFile(paths.genesis));
  const store = await LevelStore.open(paths.store);
  try {
    return await work(store, genesis);
  } finally {
    await store.close();
  }
}
