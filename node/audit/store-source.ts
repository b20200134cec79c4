import type { Place } from '#ledger/audit/place.ts';
import { COSE_KEY_BYTES, keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { BlockStore, Id } from '#ledger/ports.ts';
import { UNIT } from './chunks.ts';
import type { Chunk, ChunkSource } from './chunks.ts';
import { KeyShelf } from './key-shelf.ts';
import { ALL_BLOCKS, storedBlocks, storedKey } from './sections.ts';
import type { StoredSections } from './sections.ts';

/** Bytes of blocks in a chunk: some 40 ms of work for a thread. */
const CHUNK_BYTES = 1024 * 1024;
const ID_BYTES = 32;

/** The blocks of a node's store, in the form in which an export holds them. */
export class StoreSource implements ChunkSource {
  readonly unit = 'blocks';
  readonly total: number;
  readonly #store: Pick<BlockStore, 'get' | 'range'>;
  readonly #shelf: KeyShelf;

  private constructor(store: Pick<BlockStore, 'get' | 'range'>, total: number) {
    this.#store = store;
    this.total = total;
    this.#shelf = new KeyShelf((id) => this.#readKey(id));
  }

  static async open(store: Pick<BlockStore, 'get' | 'range'>): Promise<StoreSource> {
    let total = 0;
    for await (const _ of store.range(ALL_BLOCKS)) total += 1;
    return new StoreSource(store, total);
  }

  async *chunks(): AsyncIterable<Chunk> {
    let held: StoredSections[] = [];
    let bytes = 0;
    let done = 0;
    for await (const block of storedBlocks(this.#store)) {
      if (held[0] && held[0].epoch !== block.epoch) {
        yield this.#chunkOf(held, done);
        held = [];
        bytes = 0;
      }
      held.push(block);
      bytes += block.header.length + block.body.length;
      done += 1;
      if (bytes < CHUNK_BYTES) continue;
      yield this.#chunkOf(held, done);
      held = [];
      bytes = 0;
    }
    if (held.length > 0) yield this.#chunkOf(held, done);
  }

  #chunkOf(blocks: readonly StoredSections[], done: number): Chunk {
    const sizes = blocks.map(({ header, body }) => ID_BYTES + header.length + body.length);
    const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
    const units: number[] = [];
    const places: Place[] = [];
    const needed = new Set<Id>();
    let at = 0;
    for (const { row, id, header, body, keyIds } of blocks) {
      const start = at + ID_BYTES;
      const end = start + header.length;
      bytes.subarray(at, start).setFromHex(id);
      bytes.set(header, start);
      bytes.set(body, end);
      units.push(UNIT.header, at, start, end, UNIT.body, -1, end, end + body.length);
      places.push({ kind: 'header', row, block: id }, { kind: 'body', row, block: id });
      for (const key of keyIds) needed.add(key);
      at = end + body.length;
    }
    const keys = this.#shelf.pack(needed);
    const epoch = blocks[0]?.epoch ?? 0;
    return { bytes, units: Int32Array.from(units), places, keys, epoch, done };
  }

  #readKey(id: Id): Uint8Array {
    const key = storedKey(this.#store, id);
    if (key.length !== COSE_KEY_BYTES || keyId(key) !== id) {
      fail('store_corrupt', 'A stored key is not the one that its row names.', {
        kind: 'key',
        row: storeKeys.coseKey(id),
      });
    }
    return key;
  }
}
