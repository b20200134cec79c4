import { decodeCertificate } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import { decodeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { decode, encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import { decodePath } from '#ledger/receipt.ts';
import type { Hash } from '#ledger/merkle.ts';

/**
 * A snapshot: the whole final state at a certified checkpoint (consensus.md 2.11). It has a head,
 * the leaves of the log that are still remembered by id, and the rows of projections and replay
 * windows. All of it is verified against the certificate: leaves give the log's root, rows the
 * state's. Nothing in it is signed by who serves it.
 */

/** Bytes of rows after which a chunk is closed; with the largest row it still fits a frame. */
export const CHUNK_BYTES = 128 * 1024;
/** 32 bytes of an event's id and its verdict as u16. */
export const LEAF_BYTES = 34;
/** 136 KiB. */
export const LEAVES_PER_FRAME = 4096;
/** Rows of a state that a node takes from a peer: a liar must not fill the disk. */
export const SNAPSHOT_BYTES_MAX = 64 * 1024 ** 3;
/** Leaves before the first kept one are a whole number of these (`log-tree.ts`). */
const BASE_STEP = 16;
const EPOCHS_MAX = 65_536;
const CERTIFICATE_BYTES_MAX = 1024 * 1024;
const MOST = Number.MAX_SAFE_INTEGER;

export interface SnapshotHead {
  readonly certificate: Certificate;
  /** The checkpoint that an idle one names as `prev`, unless that is the genesis. */
  readonly before: Checkpoint | undefined;
  /** Leaves from number `base + 1` to the checkpoint's size follow. */
  readonly base: number;
  /** Roots of the complete subtrees of the first `base` leaves, largest first. */
  readonly peaks: readonly Hash[];
  readonly chunks: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Where the kept leaves of a log of `size` events begin. */
export function baseOf(size: number, remembered: number): number {
  return Math.floor(Math.max(0, size - remembered) / BASE_STEP) * BASE_STEP;
}

const KNOWN = new Set([
  't',
  'v',
  'certificate',
  'before',
  'base',
  'peaks',
  'chunks',
  'rows',
  'bytes',
]);

export function encodeHead(head: SnapshotHead): Uint8Array {
  const { certificate, before, base, peaks, chunks, rows, bytes } = head;
  return encode({
    t: 'snapshot',
    v: 1,
    certificate: certificate.bytes,
    ...(before && { before: before.bytes }),
    base,
    peaks,
    chunks,
    rows,
    bytes,
  });
}

/** Reads a head; nothing in it is verified. Throws coded errors. */
export function decodeHead(message: Uint8Array): SnapshotHead {
  const fields = field.fieldsOf(decode(message), KNOWN, 'snapshot');
  field.assertTag(fields, 'snapshot');
  const certificate = field.bytesOfField(fields, 'certificate', CERTIFICATE_BYTES_MAX);
  const base = field.integerOf(fields, 'base', 0, MOST);
  if (base % BASE_STEP !== 0) {
    fail('out_of_range', 'The leaves of a snapshot begin at a multiple of 16.', { base });
  }
  return {
    certificate: decodeCertificate(certificate),
    before:
      'before' in fields
        ? decodeCheckpoint(field.bytesOfField(fields, 'before', CERTIFICATE_BYTES_MAX))
        : undefined,
    base,
    peaks: decodePath(fields['peaks']),
    chunks: field.integerOf(fields, 'chunks', 0, MOST),
    rows: field.integerOf(fields, 'rows', 0, MOST),
    bytes: field.integerOf(fields, 'bytes', 0, SNAPSHOT_BYTES_MAX),
  };
}

export type Row = readonly [key: string, value: Uint8Array];

/** A list of rows: `[key, value, key, value, ...]`. */
export function encodeRows(rows: readonly Row[]): Uint8Array {
  return encode(rows.flat());
}

export function decodeRows(bytes: Uint8Array): Row[] {
  const items = field.listOf(decode(bytes), 'rows', 2 * CHUNK_BYTES);
  if (items.length % 2 !== 0) fail('wrong_type', 'Rows are pairs of key and value.');
  return Array.from({ length: items.length / 2 }, (_, i) => {
    const key = items[2 * i];
    const value = items[2 * i + 1];
    if (typeof key === 'string' && value instanceof Uint8Array) return [key, value];
    return fail('wrong_type', 'A row is a text and bytes.');
  });
}

/** Which part of which snapshot a peer asks for; without one it asks for an offer. */
export type SnapshotRequest =
  | { readonly part: 'offer' }
  | { readonly part: 'leaves' | 'rows'; readonly size: number; readonly from: number };

const REQUEST = new Set(['part', 'size', 'from']);

export function encodeRequest(request: SnapshotRequest): Uint8Array {
  return encode({ ...request });
}

export function decodeRequest(bytes: Uint8Array): SnapshotRequest {
  const fields = field.fieldsOf(decode(bytes), REQUEST, 'request for a snapshot');
  const { part } = fields;
  if (part === 'offer') return { part };
  if (part !== 'leaves' && part !== 'rows') {
    return fail('out_of_range', 'The parts of a snapshot are offer, leaves and rows.');
  }
  const size = field.integerOf(fields, 'size', 1, MOST);
  return { part, size, from: field.integerOf(fields, 'from', 0, MOST) };
}

/** The links of the committee chain that come with an offer: two frames for each. */
export function linksOf({ checkpoint }: Certificate): number {
  const { epoch, cut } = checkpoint;
  return Math.min(EPOCHS_MAX, cut === 'epoch' ? epoch + 1 : epoch);
}
