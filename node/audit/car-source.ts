import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { readSync } from 'node:fs';
import {
  CAR_HEADER_BYTES,
  CID_BYTES,
  Framer,
  SECTION_BYTES_MAX,
  readCarHeader,
} from '#ledger/audit/car-format.ts';
import type { Section } from '#ledger/audit/car-format.ts';
import { keyIdsOf } from '#ledger/audit/body.ts';
import { decodeManifest } from '#ledger/audit/manifest.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import { placed } from '#ledger/audit/place.ts';
import type { Place } from '#ledger/audit/place.ts';
import { openChain } from '#ledger/chain.ts';
import type { Chain } from '#ledger/chain.ts';
import { COSE_KEY_BYTES } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { idOf, textOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { UNIT } from './chunks.ts';
import type { Chunk, ChunkSource } from './chunks.ts';
import { KeyShelf } from './key-shelf.ts';

/** The varint before a key's CID. */
const KEY_LENGTH_BYTES = 2;
/** Room for a header and a body of the largest size, with their lengths. */
const CHUNK_BYTES = 2 * SECTION_BYTES_MAX + 64;

interface Framed {
  readonly sections: readonly Section[];
  readonly used: number;
  readonly failure?: Error | undefined;
}

/** An export file, read once from front to end. Opened by `openCar`. */
export class CarSource implements ChunkSource {
  readonly unit = 'bytes';
  readonly total: number;
  readonly manifest: Manifest;
  readonly chain: Chain;
  readonly #file: FileHandle;
  readonly #framer: Framer;
  /** Where the content of a key stands in the file. */
  readonly #keyAt = new Map<Id, number>();
  readonly #shelf = new KeyShelf((id) => this.#readKey(id));
  /** Keys since the last block: the next one must be the first to use them. */
  #fresh: { readonly id: Id; readonly place: Place }[] = [];
  #at: number;

  constructor(
    file: FileHandle,
    total: number,
    framer: Framer,
    front: { readonly manifest: Manifest; readonly chain: Chain; readonly end: number },
  ) {
    this.#file = file;
    this.total = total;
    this.#framer = framer;
    this.manifest = front.manifest;
    this.chain = front.chain;
    this.#at = front.end;
  }

  async *chunks(): AsyncIterable<Chunk> {
    for (;;) {
      const bytes = new Uint8Array(Math.min(CHUNK_BYTES, this.total - this.#at));
      await readAt(this.#file, bytes, this.#at);
      const isLast = this.#at + bytes.length === this.total;
      const { epoch } = this;
      const framed = this.#frame(bytes, isLast);
      const done = this.#at + framed.used;
      const { chunk, failure } = this.#chunkOf(bytes, framed.sections, epoch, done);
      if (chunk.units.length > 0) yield chunk;
      const wrong = failure ?? framed.failure;
      if (wrong !== undefined) throw wrong;
      this.#at += framed.used;
      if (isLast && (framed.used === bytes.length || framed.used === 0)) break;
    }
    if (this.#framer.blocks !== this.manifest.blocks) {
      fail('car_truncated', 'The file holds fewer blocks than its manifest counts.', {
        kind: 'header',
        offset: this.total,
        blocks: this.#framer.blocks,
        manifest: this.manifest.blocks,
      });
    }
    if (this.#keyAt.size !== this.manifest.keys) {
      fail('car_truncated', 'The file holds other keys than its manifest counts.', {
        kind: 'manifest',
        part: 'keys',
        keys: this.#keyAt.size,
        manifest: this.manifest.keys,
      });
    }
  }

  /** The epoch of the next block, by the manifest's counts. */
  get epoch(): number {
    let blocks = 0;
    const counts = this.manifest.epochs ?? [];
    const at = counts.findIndex((count) => (blocks += count) > this.#framer.blocks);
    return at < 0 ? Math.max(0, counts.length - 1) : at;
  }

  /** How many blocks come before the next epoch. */
  get #endOfEpoch(): number {
    let blocks = 0;
    for (const count of this.manifest.epochs ?? []) {
      blocks += count;
      if (blocks > this.#framer.blocks) return blocks;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Sections up to the first that is wrong, so that what stands before it is looked at first. */
  #frame(bytes: Uint8Array, isLast: boolean): Framed {
    const sections: Section[] = [];
    let used = 0;
    try {
      const stop = this.#endOfEpoch;
      while (used < bytes.length && this.#framer.blocks < stop) {
        const next = this.#framer.frame(bytes.subarray(used), this.#at + used, isLast, 1);
        if (next.used === 0) break;
        for (const { kind, index, offset, idAt, start, end } of next.sections) {
          const moved = { idAt: idAt + used, start: start + used, end: end + used };
          sections.push({ kind, index, offset, ...moved });
        }
        used += next.used;
      }
    } catch (error) {
      return { sections, used, failure: asError(error) };
    }
    return { sections, used };
  }

  #chunkOf(
    bytes: Uint8Array<ArrayBuffer>,
    sections: readonly Section[],
    epoch: number,
    done: number,
  ): { readonly chunk: Chunk; readonly failure: Error | undefined } {
    const units: number[] = [];
    const places: Place[] = [];
    const needed = new Set<Id>();
    let failure: Error | undefined;
    let header: Id = '';
    try {
      for (const section of sections) {
        const { kind, idAt, start, end, index, offset } = section;
        const id = bytes.subarray(idAt, idAt + 32).toHex();
        if (kind === 'header') header = id;
        const place = { kind, section: index, offset, ...(kind !== 'key' && { block: header }) };
        units.push(UNIT[kind as keyof typeof UNIT], idAt, start, end);
        places.push(place);
        if (kind === 'key') this.#noteKey(id, bytes.subarray(start, end), place);
        if (kind === 'body') this.#noteBody(bytes.subarray(start, end), needed);
      }
    } catch (error) {
      failure = asError(error);
    }
    const keys = this.#shelf.pack(needed);
    const chunk = { bytes, units: Int32Array.from(units), places, keys, epoch, done };
    return { chunk, failure };
  }

  #noteKey(id: Id, content: Uint8Array, place: Place): void {
    if (this.#keyAt.has(id)) {
      fail('car_unexpected_section', 'A key stands there twice.', { ...place });
    }
    this.#keyAt.set(id, (place.offset ?? 0) + KEY_LENGTH_BYTES + CID_BYTES);
    this.#shelf.add(id, content);
    this.#fresh.push({ id, place });
  }

  /** The fresh keys are exactly those that this block is the first to use, in its order. */
  #noteBody(content: Uint8Array, needed: Set<Id>): void {
    const fresh = this.#fresh;
    this.#fresh = [];
    let next = 0;
    for (const id of keyIdsIn(content)) {
      if (!this.#keyAt.has(id)) continue;
      needed.add(id);
      if (fresh[next]?.id === id) next += 1;
    }
    const surplus = fresh[next];
    if (!surplus) return;
    const message = 'A key stands directly before the block that is the first to use it.';
    fail('car_unexpected_section', message, { ...surplus.place });
  }

  #readKey(id: Id): Uint8Array {
    const key = new Uint8Array(COSE_KEY_BYTES);
    readSync(this.#file.fd, key, 0, key.length, this.#keyAt.get(id) ?? 0);
    return key;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** The keys that a body names; none where it is broken: the thread that checks it says how. */
function keyIdsIn(body: Uint8Array): readonly Id[] {
  try {
    return keyIdsOf(body);
  } catch (error) {
    if (error instanceof X0tError) return [];
    throw error;
  }
}

async function readAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, position + at);
    if (bytesRead === 0) fail('audit_read_failed', 'The file became shorter while it was read.');
    at += bytesRead;
  }
}

/**
 * Opens an export and reads header, manifest and genesis. Throws `audit_read_failed` where the file
 * cannot be read, else findings.
 */
export async function openCar(path: string): Promise<CarSource> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    const message = 'The file cannot be read: check its path and your rights.';
    throw new X0tError('audit_read_failed', message, { file: path }, { cause });
  });
  try {
    const { size } = await file.stat();
    const framer = new Framer();
    return new CarSource(file, size, framer, await readFront(file, size, framer));
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readFront(file: FileHandle, size: number, framer: Framer) {
  const bytes = new Uint8Array(Math.min(size, CAR_HEADER_BYTES + CHUNK_BYTES));
  await readAt(file, bytes, 0);
  const root = readCarHeader(bytes);
  const isLast = bytes.length === size;
  const next = (at: number) => {
    const { sections, used } = framer.frame(bytes.subarray(at), at, isLast, 1);
    const [section] = sections;
    if (!section) {
      const place = { kind: 'genesis', offset: at };
      fail('car_truncated', 'The file ends before its first block.', place);
    }
    return readObject(section, bytes.subarray(at), at + used);
  };
  const first = next(CAR_HEADER_BYTES);
  if (first.id !== root) {
    const place = { kind: 'car-header', offset: 0, part: 'root' };
    fail('car_bad_header', "The root is not the manifest's CID.", place);
  }
  const manifest = inPlace(first.place, () => decodeManifest(first.content));
  const second = next(first.end);
  const chain = inPlace(second.place, () => openChain(second.content));
  if (chain.id !== manifest.chain) {
    const message = 'The manifest is of another network than the genesis object.';
    fail('audit_other_network', message, { ...first.place, chain: textOf(manifest.chain) });
  }
  framer.blocks_max = manifest.blocks;
  return { manifest, chain, end: second.end };
}

/** The content of one of the first two sections, after its CID was checked. */
function readObject(section: Section, bytes: Uint8Array, next: number) {
  const { kind, index, offset, idAt, start, end } = section;
  const place: Place = { kind, section: index, offset };
  const content = bytes.slice(start, end);
  const id = idOf(content);
  if (id !== bytes.subarray(idAt, idAt + 32).toHex()) {
    fail('car_cid_mismatch', 'A section does not hash to its CID.', { ...place });
  }
  return { place, content, id, end: next };
}

function inPlace<T>(place: Place, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw placed(error, place);
  }
}
