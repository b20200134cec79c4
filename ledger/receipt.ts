import { decode, encode } from './codec.ts';
import { encodeValidators } from './committee.ts';
import type { Validator } from './committee.ts';
import { COSE_KEY_BYTES, SIGN1_BYTES } from './cose.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { decodeValidators } from './genesis.ts';
import { BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX } from './limits.ts';
import type { Hash } from './merkle.ts';

/**
 * Receipts (wire.md, "Checkpoint, certificate, receipt"): one event with its authorship, its place
 * and verdict in the final log, and the certificate that a quorum signed over that log, with the
 * committees from the genesis on. `receipt-check.ts` verifies one without a node.
 */

/** Who says that the event is its actor's. */
export type Authorship =
  | {
      /** The COSE_Key with which the entry's own signature is checked. */
      readonly key: Uint8Array;
    }
  | {
      /** Header and COSE_Sign1 of the actor's block, which carries the entry unsigned. */
      readonly header: Uint8Array;
      readonly sign1: Uint8Array;
      /** Index of the entry in the block. */
      readonly index: number;
      /** RFC 9162 path from the entry's leaf to the header's root. */
      readonly path: readonly Hash[];
    };

/** How an epoch ended: its last certificate, and the committee that it names. */
export interface EpochLink {
  readonly certificate: Uint8Array;
  readonly next: readonly Validator[];
}

export interface Receipt {
  /** `[event, [signature]]` or `[event, []]`. */
  readonly entry: Uint8Array;
  readonly authorship: Authorship;
  /** Number in the final log, from 1. */
  readonly seq: number;
  readonly verdict: number;
  /** RFC 9162 path from the event's leaf to the certificate's root. */
  readonly path: readonly Hash[];
  readonly certificate: Uint8Array;
  /** One for each epoch before the certificate's, from the genesis on. */
  readonly epochs: readonly EpochLink[];
}

/** A receipt over some hundred epochs of a large committee; ordinary ones have some 20 KB. */
export const RECEIPT_BYTES_MAX = 64 * 1024 * 1024;
/** A path in a log of 2^53 events. */
const PATH_MAX = 53;
const EPOCHS_MAX = 65_536;
const CERTIFICATE_BYTES_MAX = 1024 * 1024;

const KNOWN = new Set([
  't',
  'v',
  'entry',
  'authorship',
  'seq',
  'verdict',
  'path',
  'certificate',
  'epochs',
]);
const BY_KEY = new Set(['key']);
const BY_BLOCK = new Set(['header', 'sign1', 'index', 'path']);

export function encodeReceipt(receipt: Receipt): Uint8Array {
  const { entry, authorship, seq, verdict, path, certificate, epochs } = receipt;
  return encode({
    t: 'receipt',
    v: 1,
    entry,
    authorship,
    seq,
    verdict,
    path,
    certificate,
    epochs: epochs.map((link) => [link.certificate, encodeValidators(link.next)]),
  });
}

/** Reads a receipt; nothing in it is verified. Throws coded errors. */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  if (bytes.length > RECEIPT_BYTES_MAX) {
    fail('out_of_range', `A receipt has at most ${RECEIPT_BYTES_MAX} bytes.`, {
      bytes: bytes.length,
    });
  }
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'receipt');
  field.assertTag(fields, 'receipt');
  return {
    entry: field.bytesOfField(fields, 'entry', BLOCK_BYTES_MAX),
    authorship: decodeAuthorship(fields['authorship']),
    seq: field.integerOf(fields, 'seq', 1, Number.MAX_SAFE_INTEGER),
    verdict: field.integerOf(fields, 'verdict', 0, 0xffff),
    path: decodePath(fields['path']),
    certificate: field.bytesOfField(fields, 'certificate', CERTIFICATE_BYTES_MAX),
    epochs: field.listOf(fields['epochs'], 'epochs', EPOCHS_MAX).map(decodeLink),
  };
}

function decodeAuthorship(value: unknown): Authorship {
  const isByKey = typeof value === 'object' && value !== null && 'key' in value;
  const fields = field.fieldsOf(value, isByKey ? BY_KEY : BY_BLOCK, 'statement of authorship');
  if (isByKey) return { key: field.bytesOfField(fields, 'key', COSE_KEY_BYTES) };
  return {
    header: field.bytesOfField(fields, 'header', BLOCK_BYTES_MAX),
    sign1: field.bytesOfField(fields, 'sign1', SIGN1_BYTES),
    index: field.integerOf(fields, 'index', 0, BLOCK_ENTRIES_MAX - 1),
    path: decodePath(fields['path']),
  };
}

/** Reads a list of hashes of 32 bytes. */
export function decodePath(value: unknown): readonly Hash[] {
  return field.listOf(value, 'path', 2 * PATH_MAX).map((hash) => {
    if (hash instanceof Uint8Array && hash.length === 32) return hash;
    return fail('wrong_type', 'A path is a list of hashes of 32 bytes.', { field: 'path' });
  });
}

function decodeLink(value: unknown): EpochLink {
  const pair = field.listOf(value, 'epochs', 2);
  const certificate = field.bytesOfField({ epochs: pair[0] }, 'epochs', CERTIFICATE_BYTES_MAX);
  return { certificate, next: decodeValidators(pair[1]) };
}
