import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import { bytesOf, concatBytes, idOf, linkOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { PlaceKind } from './place.ts';

/**
 * The strict CARv1 of an export (docs/audit.md): a header with one root, then sections of varint,
 * CIDv1 and content. `@ipld/car` writes it; reading is done here, because an audit needs the exact
 * offset of everything and no slack: one length, one form of CID, one order of sections.
 */

export type SectionKind = Extract<PlaceKind, 'manifest' | 'genesis' | 'key' | 'header' | 'body'>;

/** CIDv1, codec, sha2-256, 32 bytes. */
export const CID_BYTES = 36;
/** A genesis of the largest committee and all operators has 400 KiB; a block's body 260 KiB. */
export const SECTION_BYTES_MAX = 512 * 1024;
const DAG_CBOR = 0x71;
const RAW = 0x55;
const SHA2_256 = 0x12;
const DIGEST_BYTES = 32;

/** The CID under which a section stands: `raw` for keys, `dag-cbor` for the rest. */
export function sectionCid(kind: SectionKind, id: Id): CID {
  return CID.createV1(kind === 'key' ? RAW : DAG_CBOR, createDigest(SHA2_256, bytesOf(id)));
}

/** The bytes of the file up to the first section. */
export function carHeader(root: Id): Uint8Array {
  const header = encode({ roots: [linkOf(root)], version: 1 });
  return concatBytes([Uint8Array.of(header.length), header]);
}

const HEADER = carHeader('00'.repeat(DIGEST_BYTES));
/** `version: 1` follows the digest. */
const ROOT_AT = HEADER.length - DIGEST_BYTES - 'gversion'.length - 1;
export const CAR_HEADER_BYTES = HEADER.length;

/** The root in the file's first bytes; throws `car_bad_header`. */
export function readCarHeader(bytes: Uint8Array): Id {
  const place = { kind: 'car-header', offset: 0 };
  if (bytes.length < CAR_HEADER_BYTES) {
    const { length } = bytes;
    fail('car_bad_header', 'The file is too short for an export.', { ...place, bytes: length });
  }
  for (const [at, byte] of HEADER.entries()) {
    if ((at < ROOT_AT || at >= ROOT_AT + DIGEST_BYTES) && bytes[at] !== byte) {
      fail('car_bad_header', 'The file does not begin as an export does: one root, version 1.', {
        ...place,
        at,
      });
    }
  }
  return bytes.subarray(ROOT_AT, ROOT_AT + DIGEST_BYTES).toHex();
}

/** One section inside a chunk of the file. */
export interface Section {
  readonly kind: SectionKind;
  /** From 0. */
  readonly index: number;
  /** Offset in the file of its length. */
  readonly offset: number;
  /** Where in the chunk its id's digest stands, and its content begins and ends. */
  readonly idAt: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Cuts chunks of a file into sections and checks their order. A header and its body come in one
 * chunk. Throws `car_bad_length`, `car_bad_cid`, `car_unexpected_section`, `car_trailing_bytes` and
 * `car_truncated`, with the place.
 */
export class Framer {
  #index = 0;
  #blocks = 0;
  /** As the manifest says; unknown before it was read. */
  blocks_max = Number.POSITIVE_INFINITY;

  /** Blocks so far. */
  get blocks(): number {
    return this.#blocks;
  }

  /**
   * The whole sections in `bytes`, which stand at `offset` in the file, up to `count` of them.
   * `used` is how many bytes they take. `isLast`: nothing follows.
   */
  frame(
    bytes: Uint8Array,
    offset: number,
    isLast: boolean,
    count = Number.POSITIVE_INFINITY,
  ): { readonly sections: readonly Section[]; readonly used: number } {
    const sections: Section[] = [];
    let used = 0;
    while (used < bytes.length && sections.length < count) {
      const next = this.#next(bytes, used, offset, isLast);
      if (!next) break;
      if (next.kind === 'header') {
        const body = this.#body(bytes, offset, isLast, next);
        if (!body) break;
        sections.push(next, body);
        this.#index += 2;
        this.#blocks += 1;
        used = body.end;
      } else {
        sections.push(next);
        this.#index += 1;
        used = next.end;
      }
    }
    return { sections, used };
  }

  /** A wrong length of a header shows in what seems to follow it: then the header is to blame. */
  #body(bytes: Uint8Array, offset: number, isLast: boolean, header: Section): Section | undefined {
    try {
      return this.#next(bytes, header.end, offset, isLast, header);
    } catch (error) {
      const { kind, index: section, idAt, start, end } = header;
      const id = bytes.subarray(idAt, idAt + DIGEST_BYTES).toHex();
      if (idOf(bytes.subarray(start, end)) === id) throw error;
      const message = "A header's content does not hash to its id.";
      return fail('car_cid_mismatch', message, { kind, section, offset: header.offset });
    }
  }

  #next(
    bytes: Uint8Array,
    at: number,
    fileOffset: number,
    isLast: boolean,
    header?: Section,
  ): Section | undefined {
    const index = header ? this.#index + 1 : this.#index;
    const offset = fileOffset + at;
    const place = { kind: this.#expected(header), section: index, offset };
    if (!header && this.#blocks >= this.blocks_max) {
      fail('car_trailing_bytes', 'Bytes follow the last block that the manifest counts.', place);
    }
    const truncated = () => {
      if (!isLast) return undefined;
      return fail('car_truncated', 'The file ends inside a section: export it again.', place);
    };
    const length = readVarint(bytes, at);
    if (length === undefined) return truncated();
    const { value, next } = length;
    if (value === BAD || value <= CID_BYTES || value > SECTION_BYTES_MAX) {
      const message = 'A length is not in its shortest form, or no section has it.';
      fail('car_bad_length', message, { ...place, part: 'length', length: value });
    }
    if (next + value > bytes.length) return truncated();
    const kind = this.#kindOf(bytes, next, place, header);
    return { kind, index, offset, idAt: next + 4, start: next + CID_BYTES, end: next + value };
  }

  #expected(header: Section | undefined): SectionKind {
    if (this.#index === 0) return 'manifest';
    if (this.#index === 1) return 'genesis';
    return header ? 'body' : 'header';
  }

  #kindOf(bytes: Uint8Array, at: number, place: object, header?: Section): SectionKind {
    const codec = bytes[at + 1];
    const isCid =
      bytes[at] === 1 &&
      (codec === DAG_CBOR || codec === RAW) &&
      bytes[at + 2] === SHA2_256 &&
      bytes[at + 3] === DIGEST_BYTES;
    if (!isCid) {
      const message = 'A section begins with a CIDv1 of DAG-CBOR or raw bytes with SHA-256.';
      fail('car_bad_cid', message, { ...place, part: 'cid' });
    }
    const expected = this.#expected(header);
    if (codec === DAG_CBOR) return expected;
    if (expected === 'header') return 'key';
    return fail('car_unexpected_section', `A ${expected} is expected here, not raw bytes.`, {
      ...place,
      part: 'cid',
    });
  }
}

/** A varint that is too long or not the shortest. */
const BAD = -1;

/** Unsigned LEB128 of at most three bytes; `undefined` where the bytes end inside. */
function readVarint(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let i = 0; i < 3; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value: i > 0 && byte === 0 ? BAD : value, next: at + i + 1 };
  }
  return { value: BAD, next: at + 3 };
}
