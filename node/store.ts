import { Level } from 'level';
import { X0tError, fail } from '#ledger/errors.ts';
import type { BlockStore, FrozenRows, StoreOp, StoreRange } from '#ledger/ports.ts';

/** Blocks of LevelDB's cache and of its memtable: the bulk of what a node keeps is read once. */
const CACHE_BYTES = 16 * 1024 * 1024;
const WRITE_BUFFER_BYTES = 8 * 1024 * 1024;
/** Bytes a table file may have: larger ones make fewer files of the same log. */
const FILE_BYTES_MAX = 8 * 1024 * 1024;

/** A store that stands still. */
export interface FrozenStore extends FrozenRows, Pick<BlockStore, 'range'> {}

/** The store on LevelDB (`level`). */
export class LevelStore implements BlockStore {
  readonly #level: Level<string, Uint8Array>;
  #failure: unknown;

  /** The last batch that was asked for; never rejects. */
  #last: Promise<void> = Promise.resolve();

  private constructor(level: Level<string, Uint8Array>) {
    this.#level = level;
  }

  /**
   * Opens or makes the database; throws `data_dir_locked` when another process has it, else
   * `store_failed`.
   */
  static async open(directory: string): Promise<LevelStore> {
    const level = new Level<string, Uint8Array>(directory, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      cacheSize: CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
      maxFileSize: FILE_BYTES_MAX,
    });
    try {
      await level.open();
    } catch (cause) {
      const reason = (cause as { cause?: { code?: string } }).cause?.code ?? '';
      if (reason === 'LEVEL_LOCKED') {
        throw new X0tError(
          'data_dir_locked',
          'Another process has this data directory open: stop it, or name another with --data.',
          { directory },
          { cause },
        );
      }
      throw new X0tError(
        'store_failed',
        'The database cannot be opened: check the disk, or restore a copy.',
        { reason },
        {
          cause,
        },
      );
    }
    return new LevelStore(level);
  }

  get(key: string): Uint8Array | undefined {
    return this.#level.getSync(key);
  }

  /** One batch after the other: LevelDB's threads would take two at once in any order. */
  write(ops: readonly StoreOp[], { sync }: { readonly sync: boolean }): Promise<void> {
    const done = this.#last.then(() => this.#batch(ops, sync));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #batch(ops: readonly StoreOp[], sync: boolean): Promise<void> {
    if (this.#failure !== undefined) {
      fail('store_failed', 'The database has failed before: restart the node.');
    }
    try {
      await this.#level.batch([...ops], { sync });
    } catch (cause) {
      this.#failure = cause;
      throw new X0tError(
        'store_failed',
        'The database cannot be written: check the disk.',
        {},
        { cause },
      );
    }
  }

  range({
    gte,
    lt,
    reverse = false,
    limit = -1,
  }: StoreRange): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#level.iterator({ gte, lt, reverse, limit });
  }

  /**
   * The store as it is now, to read while it is written on: an audit's view, and the fold's while a
   * snapshot is put in place. Close it, since what is deleted meanwhile is kept for it.
   */
  frozen(): FrozenStore {
    const snapshot = this.#level.snapshot();
    return {
      get: (key) => this.#level.getSync(key, { snapshot }),
      range: ({ gte, lt, reverse = false, limit = -1 }) =>
        this.#level.iterator({ gte, lt, reverse, limit, snapshot }),
      close: () => snapshot.close(),
    };
  }

  /**
   * Rewrites the files without what was overwritten or deleted: after pruning and a rebuild, and
   * for measurements.
   */
  compact(from = '', to = '~'): Promise<void> {
    return (
      this.#level as unknown as { compactRange(from: string, to: string): Promise<void> }
    ).compactRange(from, to);
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#level.close();
  }
}
