import { storeKeys } from './keys.ts';
import type { BlockStore, Id } from './ports.ts';

/** Ids of keys that are remembered as stored. */
const REMEMBERED_MAX = 10_000;

/**
 * Whether the store has a COSE_Key. Those found are remembered: every block of a burst names the
 * same ones.
 */
export class StoredKeys {
  readonly #store: Pick<BlockStore, 'get'>;
  readonly #found = new Set<Id>();

  constructor(store: Pick<BlockStore, 'get'>) {
    this.#store = store;
  }

  has(id: Id): boolean {
    if (this.#found.has(id)) return true;
    if (this.#store.get(storeKeys.coseKey(id)) === undefined) return false;
    if (this.#found.size >= REMEMBERED_MAX) this.#found.clear();
    this.#found.add(id);
    return true;
  }
}
