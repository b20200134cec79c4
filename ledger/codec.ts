import { decode as decodeDagCbor, encode as encodeDagCbor } from '@ipld/dag-cbor';
import { X0tError, fail } from './errors.ts';
import { NESTING_MAX } from './limits.ts';

/**
 * Deterministic DAG-CBOR (wire.md, "Encoding"). `decode` accepts exactly the bytes that `encode` makes: shortest
 * lengths, map keys in DAG-CBOR order (length, then bytes), no duplicates, no floats, no undefined, integers within
 * ±(2^53 - 1), links only as CIDv1 with SHA-256. That is checked by one scan over the bytes (`scan`), which costs a
 * fifth of encoding again.
 */

/** Throws `not_canonical` or `too_deep`. `bytes` holds one whole item and nothing after it. */
export function decode(bytes: Uint8Array): unknown {
  assertCanonical(bytes);
  return decodeDagCbor(bytes);
}

/**
 * The canonical bytes. The caller passes plain objects, arrays, byte strings, CIDs and safe integers only; what comes from
 * outside is decoded again. Throws `wrong_type` for what has no form, such as undefined.
 */
export function encode(value: unknown): Uint8Array {
  try {
    return encodeDagCbor(value);
  } catch (cause) {
    throw new X0tError('wrong_type', 'Only plain data can be written: no undefined, no functions.', {}, { cause });
  }
}

/** The scan alone: for bytes that are decoded elsewhere, or kept as they are. */
export function assertCanonical(bytes: Uint8Array): void {
  if (skipItem(bytes, 0, 0) !== bytes.length) bad(bytes.length, 'bytes after the item');
}

/** The offset after the canonical item at `at`: for objects that stand inside other bytes. */
export function itemEnd(bytes: Uint8Array, at: number): number {
  return skipItem(bytes, at, 0);
}

/**
 * The items of a canonical list of byte strings, as views into `bytes`: what `decode` gives, without copies. Throws
 * `not_canonical`.
 */
export function splitByteStrings(bytes: Uint8Array): Uint8Array[] {
  readHead(bytes, 0);
  const { major: kind, value: count, next: start } = head;
  if (kind !== 4) bad(0, 'a list of byte strings is expected');
  const parts: Uint8Array[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    readHead(bytes, at);
    const { major, value: length, next } = head;
    if (major !== 2) bad(at, 'a byte string is expected');
    const end = endOf(bytes, at, next + length);
    parts.push(bytes.subarray(next, end));
    at = end;
  }
  if (at !== bytes.length) bad(at, 'bytes after the item');
  return parts;
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

/** Reads an initial byte and its argument, RFC 8949 section 3; only the shortest form passes (section 4.2.1). */
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

/** The offset after the item at `at`. */
function skipItem(bytes: Uint8Array, at: number, depth: number): number {
  if (depth > NESTING_MAX) fail('too_deep', `Objects nest at most ${NESTING_MAX} deep.`, { at });
  readHead(bytes, at);
  const { major, value, next } = head;
  switch (major) {
    case 0:
      if (value > Number.MAX_SAFE_INTEGER) bad(at, 'an integer beyond 2^53');
      return next;
    case 1:
      if (value >= Number.MAX_SAFE_INTEGER) bad(at, 'an integer beyond -2^53');
      return next;
    case 2:
      return endOf(bytes, at, next + value);
    case 3:
      return skipText(bytes, at, next, value);
    case 4: {
      let end = next;
      for (let i = 0; i < value; i++) end = skipItem(bytes, end, depth + 1);
      return end;
    }
    case 5:
      return skipMap(bytes, next, value, depth);
    case 6:
      return skipLink(bytes, at, next, value);
    default:
      // false, true, null; no undefined, no floats
      if (next !== at + 1 || value < 20 || value > 22) bad(at, 'a float, undefined or unknown simple value');
      return next;
  }
}

function endOf(bytes: Uint8Array, at: number, end: number): number {
  if (end > bytes.length) bad(at, 'it ends early');
  return end;
}

function skipText(bytes: Uint8Array, at: number, start: number, length: number): number {
  const end = endOf(bytes, at, start + length);
  // decoders drop it, so the text would encode to other bytes
  if (bytes[start] === 0xef && length >= 3 && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
    bad(at, 'a text that begins with a byte order mark');
  }
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) > 127) {
      try {
        utf8.decode(bytes.subarray(start, end));
      } catch {
        bad(at, 'text that is not UTF-8');
      }
      return end;
    }
  }
  return end;
}

function skipMap(bytes: Uint8Array, start: number, count: number, depth: number): number {
  let at = start;
  let lastStart = -1;
  let lastLength = -1;
  for (let i = 0; i < count; i++) {
    readHead(bytes, at);
    const { major, value: length, next: keyStart } = head;
    if (major !== 3) bad(at, 'a map key that is no text');
    if (length === 0 || length > MAP_KEY_BYTES_MAX) bad(at, 'a map key that is empty or too long');
    const keyEnd = skipText(bytes, at, keyStart, length);
    if (length < lastLength || (length === lastLength && !isGreater(bytes, keyStart, lastStart, length))) {
      bad(at, 'map keys out of order or twice');
    }
    if (length === 9 && isProto(bytes, keyStart)) bad(at, 'the map key __proto__');
    lastStart = keyStart;
    lastLength = length;
    at = skipItem(bytes, keyEnd, depth + 1);
  }
  return at;
}

function isGreater(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    const difference = (bytes[a + i] as number) - (bytes[b + i] as number);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

const PROTO = new TextEncoder().encode('__proto__');

function isProto(bytes: Uint8Array, start: number): boolean {
  return PROTO.every((byte, i) => bytes[start + i] === byte);
}

/** Tag 42 over 0x00 ‖ CIDv1 ‖ (dag-cbor or raw) ‖ sha2-256 ‖ 32 bytes: the only links of version 1. */
function skipLink(bytes: Uint8Array, at: number, start: number, tag: number): number {
  if (tag !== 42 || start !== at + 2) bad(at, 'a tag other than 42');
  readHead(bytes, start);
  const { major, value, next } = head;
  if (major !== 2 || value !== CID_BYTES) bad(at, 'a link that is no CIDv1 with SHA-256');
  const end = endOf(bytes, at, next + value);
  const codec = bytes[next + 2];
  const fits =
    bytes[next] === 0x00 &&
    bytes[next + 1] === 0x01 &&
    (codec === 0x71 || codec === 0x55) &&
    bytes[next + 3] === 0x12 &&
    bytes[next + 4] === 0x20;
  if (!fits) bad(at, 'a link that is no CIDv1 with SHA-256');
  return end;
}
