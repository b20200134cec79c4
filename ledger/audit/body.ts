import { decode, encode } from '#ledger/codec.ts';
import { SIGN1_BYTES } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import { BLOCK_ENTRIES_MAX } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import { sectionCid } from './car-format.ts';

/**
 * The body of a block in an export: the DAG-CBOR list `[COSE_Sign1, [link to a key...], entry...]`
 * of byte strings and raw links. The header before it commits to keys and entries by its root.
 */
export interface Body {
  readonly sign1: Uint8Array;
  readonly keyIds: readonly Id[];
  /** Views into the body's bytes. */
  readonly entries: readonly Uint8Array[];
}

/** A block as a store holds it, in parts. */
export interface StoredBlock extends Body {
  readonly header: Uint8Array;
}

const KEY_ID_BYTES = 32;

/** Splits a stored block (`archive.ts`); throws `store_corrupt` or the codes of the codec. */
export function splitStored(value: Uint8Array): StoredBlock {
  const parts = decode(value);
  const isList = Array.isArray(parts) && parts.every((part) => part instanceof Uint8Array);
  const [header, sign1, ids, ...entries] = isList ? parts : [];
  if (!header || !sign1 || !ids || ids.length % KEY_ID_BYTES > 0) {
    fail('store_corrupt', 'A stored block is damaged: take a copy from a peer.');
  }
  const keyIds: Id[] = [];
  for (let at = 0; at < ids.length; at += KEY_ID_BYTES) {
    keyIds.push(ids.subarray(at, at + KEY_ID_BYTES).toHex());
  }
  return { header, sign1, keyIds, entries };
}

export function encodeBody({ sign1, keyIds, entries }: Body): Uint8Array {
  return encode([sign1, keyIds.map((id) => sectionCid('key', id)), ...entries]);
}

/** Tag 42 over a byte string of 0x00 and a raw CIDv1 with SHA-256: all of a link but the digest. */
const LINK_HEAD = Uint8Array.fromHex('d82a58250001551220');
const ARRAY = 4;
const BYTES = 2;

/** A place in the bytes, moved on by each read. */
class Cursor {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  fail(): never {
    return fail('bad_body_section', 'A body is a list of signature, key links and entries.', {
      at: this.at,
    });
  }

  /** A head of RFC 8949 in its shortest form with an argument below 2^32. */
  head(major: number): number {
    const first = this.bytes[this.at] ?? this.fail();
    if (first >> 5 !== major) this.fail();
    const info = first & 31;
    if (info < 24) {
      this.at += 1;
      return info;
    }
    if (info > 26) this.fail();
    const width = 1 << (info - 24);
    let value = 0;
    for (let i = 1; i <= width; i++) value = value * 256 + (this.bytes[this.at + i] ?? this.fail());
    if (value < (width === 1 ? 24 : 2 ** (4 * width))) this.fail();
    this.at += 1 + width;
    return value;
  }

  byteString(): Uint8Array {
    const length = this.head(BYTES);
    if (this.at + length > this.bytes.length) this.fail();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  keyLink(): Id {
    for (const byte of LINK_HEAD) {
      if (this.bytes[this.at] !== byte) this.fail();
      this.at += 1;
    }
    if (this.at + KEY_ID_BYTES > this.bytes.length) this.fail();
    this.at += KEY_ID_BYTES;
    return this.bytes.subarray(this.at - KEY_ID_BYTES, this.at).toHex();
  }
}

function readFront(cursor: Cursor): { count: number; sign1: Uint8Array; keyIds: Id[] } {
  const count = cursor.head(ARRAY);
  if (count < 2 || count > BLOCK_ENTRIES_MAX + 2) cursor.fail();
  const sign1 = cursor.byteString();
  if (sign1.length !== SIGN1_BYTES) cursor.fail();
  const keys = cursor.head(ARRAY);
  if (keys > BLOCK_ENTRIES_MAX) cursor.fail();
  const keyIds: Id[] = [];
  for (let i = 0; i < keys; i++) keyIds.push(cursor.keyLink());
  return { count: count - 2, sign1, keyIds };
}

/** The keys of a body, without a look at its entries; throws `bad_body_section`. */
export function keyIdsOf(bytes: Uint8Array): readonly Id[] {
  return readFront(new Cursor(bytes)).keyIds;
}

/** Reads a body without copying; accepts exactly what `encodeBody` makes. */
export function readBody(bytes: Uint8Array): Body {
  const cursor = new Cursor(bytes);
  const { count, sign1, keyIds } = readFront(cursor);
  const entries: Uint8Array[] = [];
  for (let i = 0; i < count; i++) entries.push(cursor.byteString());
  if (cursor.at !== bytes.length) cursor.fail();
  return { sign1, keyIds, entries };
}
