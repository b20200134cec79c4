import { storeKeys } from './keys.ts';
import type { BlockStore, StoreOp } from './ports.ts';
import type { Rows } from './projection.ts';
import type { StateHash } from './state-hash.ts';

/** What reads fall back to. */
export type Readable = Pick<BlockStore, 'get'>;

/** Rows of projections and lanes that are kept at hand after they were written. */
const RECENT_MAX = 16_384;
const RECENT_BYTES_MAX = 8 * 1024 * 1024;
/** A longer row is not kept: a validator's, which holds its key, is shorter. */
const RECENT_ROW_BYTES_MAX = 4096;

/**
 * Changes on top of a store that are not written yet: reads see them, `takeOps` hands them over for
 * one batch.
 */
export class Overlay implements Readable {
  #base: Readable;
  readonly #changes = new Map<string, Uint8Array | undefined>();
  /**
   * State rows as they are in the base: reducers read the same members, lanes and keys again and
   * again.
   */
  readonly #recent = new Map<string, Uint8Array | undefined>();
  #recentBytes = 0;
  #isHandedOver = false;

  constructor(base: Readable) {
    this.#base = base;
  }

  /** Reads the same rows elsewhere from now on. */
  readFrom(base: Readable): void {
    this.#base = base;
  }

  get(key: string): Uint8Array | undefined {
    if (this.#changes.has(key)) return this.#changes.get(key);
    if (!isStateRow(key)) return this.#base.get(key);
    if (this.#recent.has(key)) return this.#recent.get(key);
    const value = this.#base.get(key);
    this.#remember(key, value);
    return value;
  }

  #remember(key: string, value: Uint8Array | undefined): void {
    this.#recentBytes -= this.#recent.get(key)?.length ?? 0;
    this.#recent.delete(key);
    const length = value?.length ?? 0;
    if (length > RECENT_ROW_BYTES_MAX) return;
    const isFull = this.#recentBytes + length > RECENT_BYTES_MAX;
    if (isFull || this.#recent.size >= RECENT_MAX) {
      this.#recent.clear();
      this.#recentBytes = 0;
    }
    this.#recent.set(key, value);
    this.#recentBytes += length;
  }

  put(key: string, value: Uint8Array): void {
    this.#changes.set(key, value);
  }

  remove(key: string): void {
    this.#changes.set(key, undefined);
  }

  /**
   * The changes as operations. They stay readable until `written` says that they are in the store.
   */
  ops(): StoreOp[] {
    this.#isHandedOver = true;
    return [...this.#changes].map(([key, value]) =>
      value ? { type: 'put', key, value } : { type: 'del', key },
    );
  }

  written(): void {
    if (!this.#isHandedOver) return;
    for (const [key, value] of this.#changes) if (isStateRow(key)) this.#remember(key, value);
    this.#changes.clear();
    this.#isHandedOver = false;
  }
}

/**
 * Rows of projections (`s/`) and replay windows (`w/`): see `keys.ts`. Only the fold writes them.
 */
function isStateRow(key: string): boolean {
  return key.startsWith('s/') || key.startsWith('w/');
}

/** A projection's view of an overlay; every change also goes into the projection's digest. */
export class HashedRows implements Rows {
  readonly #overlay: Overlay;
  readonly #hash: StateHash | undefined;
  readonly #keyOf: (key: string) => string;

  /** Without `hash` nothing is digested: for views that are thrown away. */
  constructor(overlay: Overlay, keyOf: (key: string) => string, hash?: StateHash) {
    this.#overlay = overlay;
    this.#keyOf = keyOf;
    this.#hash = hash;
  }

  get(key: string): Uint8Array | undefined {
    return this.#overlay.get(this.#keyOf(key));
  }

  put(key: string, value: Uint8Array): void {
    const at = this.#keyOf(key);
    this.#hash?.replace(key, this.#overlay.get(at), value);
    this.#overlay.put(at, value);
  }

  remove(key: string): void {
    const at = this.#keyOf(key);
    const before = this.#overlay.get(at);
    if (!before) return;
    this.#hash?.replace(key, before, undefined);
    this.#overlay.remove(at);
  }
}

/** The rows of a projection by its name. */
export function projectionRows(overlay: Overlay, name: string, hash?: StateHash): HashedRows {
  return new HashedRows(overlay, (key) => storeKeys.row(name, key), hash);
}
