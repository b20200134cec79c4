import { encode as encodeDagCbor } from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { X0tError, fail } from './errors.ts';
import { NESTING_MAX } from './limits.ts';

/**
 * Deterministic DAG-CBOR (wire.md, "Encoding"). `decode` accepts exactly the bytes that `encode`
 * makes: shortest lengths, map keys in DAG-CBOR order (length, then bytes), no duplicates, no
 * floats, no undefined, integers within ±(2^53 - 1), links only as CIDv1 with SHA-256. It checks
 * while it reads, in one pass: decoding with the library and encoding again to compare costs five
 * times as much, and it is on the way of every event.
 */

/**
 * The value of exactly one canonical item; byte strings are views into `bytes`. Throws
 * `not_canonical` or `too_deep`.
 */
export function decode(bytes: Uint8Array): unknown {
  const value = readItem(plain(bytes), 0, 0);
  if (next !== bytes.length) bad(next, 'bytes after the item');
  return value;
}

/**
 * The canonical bytes. The caller passes plain objects, arrays, byte strings, CIDs and safe
 * integers only; what comes from outside is decoded again. Throws `wrong_type` for what has no
 * form, such as undefined.
 */
export function encode(value: unknown): Uint8Array {
  try {
    return encodeDagCbor(value);
  } catch (cause) {
    throw new X0tError(
      'wrong_type',
      'Only plain data can be written: no undefined, no functions.',
      {},
      { cause },
    );
  }
}

/** The offset after the canonical item at `at`: for objects that stand inside other bytes. */
export function itemEnd(bytes: Uint8Array, at: number): number {
  readItem(bytes, at, 0);
  return next;
}

/**
 * The items of a canonical list of byte strings, as views into `bytes`: what `decode` gives,
 * without copies. Throws `not_canonical`.
 */
export function splitByteStrings(given: Uint8Array): Uint8Array[] {
  const bytes = plain(given);
  readHead(bytes, 0);
  const { major: kind, value: count, next: start } = head;
  if (kind !== 4) bad(0, 'a list of byte strings is expected');
  const parts: Uint8Array[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    readHead(bytes, at);
    const { major, value: length, next: from } = head;
    if (major !== 2) bad(at, 'a byte string is expected');
    const end = endOf(bytes, at, from + length);
    parts.push(bytes.subarray(from, end));
    at = end;
  }
  if (at !== bytes.length) bad(at, 'bytes after the item');
  return parts;
}

/** The same bytes, not as Node's Buffer, whose views would be Buffers too and slower. */
function plain(bytes: Uint8Array): Uint8Array {
  if (bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

const MAP_KEY_BYTES_MAX = 64;
const CID_BYTES = 37;
const utf8 = new TextDecoder('utf-8', { fatal: true });

function bad(at: number, what: string): never {
  fail('not_canonical', `The bytes are not deterministic DAG-CBOR: ${what}.`, { at });
}

interface Head {
  major: number;
  value: number;
  next: number;
}

/** Reused between calls of `readHead`: a scan makes no garbage. Read it before the next call. */
const head: Head = { major: 0, value: 0, next: 0 };

/**
 * Reads an initial byte and its argument, RFC 8949 section 3; only the shortest form passes
 * (section 4.2.1).
 */
function readHead(bytes: Uint8Array, at: number): void {
  const first = bytes[at];
  if (first === undefined) bad(at, 'it ends early');
  const info = first & 31;
  head.major = first >> 5;
  if (info < 24) {
    head.value = info;
    head.next = at + 1;
    return;
  }
  if (info > 27) bad(at, 'indefinite or reserved length');
  const width = 1 << (info - 24);
  if (at + 1 + width > bytes.length) bad(at, 'it ends early');
  let value = 0;
  for (let i = 1; i <= width; i++) value = value * 256 + (bytes[at + i] as number);
  const least = width === 1 ? 24 : width === 2 ? 0x100 : width === 4 ? 0x1_0000 : 0x1_0000_0000;
  if (value < least) bad(at, 'not the shortest length');
  head.value = value;
  head.next = at + 1 + width;
}

/** Where the next item starts; set by `readItem`. */
let next = 0;

/** The item at `at`, checked while it is read: byte strings are views into `bytes`. */
function readItem(bytes: Uint8Array, at: number, depth: number): unknown {
  if (depth > NESTING_MAX) fail('too_deep', `Objects nest at most ${NESTING_MAX} deep.`, { at });
  readHead(bytes, at);
  const { major, value, next: start } = head;
  switch (major) {
    case 0:
      if (value > Number.MAX_SAFE_INTEGER) bad(at, 'an integer beyond 2^53');
      next = start;
      return value;
    case 1:
      if (value >= Number.MAX_SAFE_INTEGER) bad(at, 'an integer beyond -2^53');
      next = start;
      return -1 - value;
    case 2:
      next = endOf(bytes, at, start + value);
      return bytes.subarray(start, next);
    case 3:
      return readText(bytes, at, start, value);
    case 4:
      return readList(bytes, start, value, depth);
    case 5:
      return readMap(bytes, start, value, depth);
    case 6:
      return readLink(bytes, at, start, value);
    default:
      // false, true, null; no undefined, no floats
      if (start !== at + 1 || value < 20 || value > 22) {
        bad(at, 'a float, undefined or unknown simple value');
      }
      next = start;
      return value === 22 ? null : value === 21;
  }
}

function endOf(bytes: Uint8Array, at: number, end: number): number {
  if (end > bytes.length) bad(at, 'it ends early');
  return end;
}

function readList(bytes: Uint8Array, start: number, count: number, depth: number): unknown[] {
  const items: unknown[] = [];
  next = start;
  for (let i = 0; i < count; i++) items.push(readItem(bytes, next, depth + 1));
  return items;
}

/**
 * Texts that were read before, by a sum over their bytes: field names and kinds come again and
 * again.
 */
const known = new Map<number, { readonly bytes: Uint8Array; readonly text: string }>();
const KNOWN_MAX = 512;
const KNOWN_BYTES_MAX = 24;

function readText(bytes: Uint8Array, at: number, start: number, length: number): string {
  next = endOf(bytes, at, start + length);
  let sum = length;
  if (length <= KNOWN_BYTES_MAX) {
    for (let i = start; i < next; i++) sum = (sum * 31 + (bytes[i] as number)) | 0;
    const found = known.get(sum);
    if (found?.bytes.length === length && isSame(bytes, start, found.bytes)) return found.text;
  }
  // decoders drop it, so the text would encode to other bytes
  if (
    bytes[start] === 0xef &&
    length >= 3 &&
    bytes[start + 1] === 0xbb &&
    bytes[start + 2] === 0xbf
  ) {
    bad(at, 'a text that begins with a byte order mark');
  }
  const text = decodeText(bytes, at, start, next);
  if (length <= KNOWN_BYTES_MAX && known.size < KNOWN_MAX) {
    known.set(sum, { bytes: bytes.slice(start, next), text });
  }
  return text;
}

function decodeText(bytes: Uint8Array, at: number, start: number, end: number): string {
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    return bad(at, 'text that is not UTF-8');
  }
}

function isSame(bytes: Uint8Array, start: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[start + i] !== wanted[i]) return false;
  return true;
}

function readMap(
  bytes: Uint8Array,
  start: number,
  count: number,
  depth: number,
): Record<string, unknown> {
  const map: Record<string, unknown> = {};
  let lastStart = -1;
  let lastLength = -1;
  next = start;
  for (let i = 0; i < count; i++) {
    const at = next;
    readHead(bytes, at);
    const { major, value: length, next: keyStart } = head;
    if (major !== 3) bad(at, 'a map key that is no text');
    if (length === 0 || length > MAP_KEY_BYTES_MAX) bad(at, 'a map key that is empty or too long');
    const key = readText(bytes, at, keyStart, length);
    if (
      length < lastLength ||
      (length === lastLength && !isGreater(bytes, keyStart, lastStart, length))
    ) {
      bad(at, 'map keys out of order or twice');
    }
    if (key === '__proto__') bad(at, 'the map key __proto__');
    lastStart = keyStart;
    lastLength = length;
    map[key] = readItem(bytes, next, depth + 1);
  }
  return map;
}

function isGreater(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    const difference = (bytes[a + i] as number) - (bytes[b + i] as number);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** The last link that was read: every event of a chain has the same one. */
let lastLink: { readonly bytes: Uint8Array; readonly cid: CID } | undefined;

/**
 * Tag 42 over 0x00 ‖ CIDv1 ‖ (dag-cbor or raw) ‖ sha2-256 ‖ 32 bytes: the only links of version 1.
 */
function readLink(bytes: Uint8Array, at: number, start: number, tag: number): CID {
  if (tag !== 42 || start !== at + 2) bad(at, 'a tag other than 42');
  readHead(bytes, start);
  const { major, value, next: from } = head;
  if (major !== 2 || value !== CID_BYTES) bad(at, 'a link that is no CIDv1 with SHA-256');
  next = endOf(bytes, at, from + value);
  if (lastLink && isSame(bytes, from, lastLink.bytes)) return lastLink.cid;
  const codec = bytes[from + 2];
  const fits =
    bytes[from] === 0x00 &&
    bytes[from + 1] === 0x01 &&
    (codec === 0x71 || codec === 0x55) &&
    bytes[from + 3] === 0x12 &&
    bytes[from + 4] === 0x20;
  if (!fits) bad(at, 'a link that is no CIDv1 with SHA-256');
  const own = bytes.slice(from, next);
  lastLink = { bytes: own, cid: CID.decode(own.subarray(1)) };
  return lastLink.cid;
}
