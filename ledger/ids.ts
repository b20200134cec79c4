import { hash } from 'node:crypto';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { X0tError, fail } from './errors.ts';
import type { Id } from './ports.ts';

/**
 * Ids are CIDv1(dag-cbor, sha2-256) of the object without its signatures (wire.md). Inside the code
 * an id is the digest as lower-case hex: it sorts as the digest does, and costs no object. Links in
 * objects and texts for people are CIDs.
 */

const DAG_CBOR = 0x71;
const SHA2_256 = 0x12;

/** SHA-256 as hex. */
export function idOf(bytes: Uint8Array): Id {
  return hash('sha256', bytes);
}

/** SHA-256, 32 bytes. By way of a string: a third of the time of a buffer of its own. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'latin1');
}

/** The link to put into an object. */
export function linkOf(id: Id): CID {
  return CID.createV1(DAG_CBOR, createDigest(SHA2_256, bytesOf(id)));
}

/** The id behind a decoded link; throws `wrong_type` for anything else. */
export function idOfLink(value: unknown): Id {
  const cid = CID.asCID(value);
  if (!cid || cid.code !== DAG_CBOR || cid.multihash.code !== SHA2_256) {
    fail('wrong_type', 'A link to a DAG-CBOR object is expected here.');
  }
  return cid.multihash.digest.toHex();
}

/** The id as people see it: the CID in base32. */
export function textOf(id: Id): string {
  return linkOf(id).toString();
}

/** The id of a CID's text, or of 64 hex digits; throws `bad_id`. */
export function parseId(text: string): Id {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  try {
    return idOfLink(CID.parse(text));
  } catch (cause) {
    throw new X0tError(
      'bad_id',
      'An id is a CIDv1 (dag-cbor, sha2-256) or 64 hex digits.',
      {},
      { cause },
    );
  }
}

/** 32 bytes of an id. */
export function bytesOf(id: Id): Uint8Array {
  return Uint8Array.fromHex(id);
}

/** The id of 32 bytes. */
export function hexOf(bytes: Uint8Array): Id {
  return bytes.toHex();
}

/** Lexicographic comparison of byte strings, for sorting. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** One array out of several. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
