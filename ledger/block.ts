import { encode, splitByteStrings } from './codec.ts';
import type { Committee, Committees } from './committee.ts';
import { COSE_KEY_BYTES, jobOf, keyId, publicKeyOf, sign, signatureOf } from './cose.ts';
import { fail } from './errors.ts';
import { decodeEntry, entryJob, signingKeyId } from './event.ts';
import type { Entry } from './event.ts';
import { innerJobs } from './inner-jobs.ts';
import { decodeHeader, encodeHeader } from './header.ts';
import type { Header, Ref } from './header.ts';
import { compareBytes, equalBytes, idOf } from './ids.ts';
import { BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX } from './limits.ts';
import { leafHash, rootOf } from './merkle.ts';
import type { Hash } from './merkle.ts';
import type { Id, SignatureJob, Signer } from './ports.ts';

/**
 * Blocks (wire.md, "Block"): a signed header, a key table and the entries that the header's root
 * commits to.
 */

/**
 * A block whose form, root and key table were checked against the committee; its signatures perhaps
 * not yet.
 */
export interface Block {
  readonly ref: Ref;
  readonly header: Header;
  readonly headerBytes: Uint8Array;
  /** The author's COSE_Sign1 over the header. */
  readonly sign1: Uint8Array;
  /** Leaf 0: the sorted COSE_Keys that the entries' signatures need, without the author's. */
  readonly keys: readonly Uint8Array[];
  /** SHA-256 of each key. */
  readonly keyIds: readonly Id[];
  readonly entries: readonly Entry[];
  /**
   * Hash of every entry's leaf, in order; it names the pair of object and signature in verification
   * caches.
   */
  readonly leaves: readonly Hash[];
  /** Header, signature, key table and entries together. */
  readonly bytes: number;
}

/**
 * The sealed block on the wire: the canonical list `[header, sign1, key table, entry...]` of byte
 * strings.
 */
export function encodeBlock(block: Block): Uint8Array {
  const { headerBytes, sign1, keys, entries } = block;
  return encode([headerBytes, sign1, encode(keys), ...entries.map(({ bytes }) => bytes)]);
}

/** The byte strings of a sealed block before they are looked into; throws coded errors. */
export function splitBlock(
  bytes: Uint8Array,
): readonly [Uint8Array, Uint8Array, Uint8Array, ...Uint8Array[]] {
  if (bytes.length > BLOCK_BYTES_MAX + 4 * BLOCK_ENTRIES_MAX) tooLarge(bytes.length);
  const parts = splitByteStrings(bytes);
  if (parts.length < 3) {
    fail('wrong_type', 'A sealed block is a header, a signature, a key table and entries.');
  }
  return parts as [Uint8Array, Uint8Array, Uint8Array, ...Uint8Array[]];
}

/**
 * Reads a sealed block and checks all that needs neither signatures nor parents (consensus.md 2.3,
 * rules 1, 2 and 5).
 */
export function decodeBlock(bytes: Uint8Array, chain: Id, committees: Committees): Block {
  const [headerBytes, sign1, tableBytes, ...entryBytes] = splitBlock(bytes);
  return assembleBlock(headerBytes, sign1, decodeKeys(tableBytes), entryBytes, chain, committees, {
    table: tableBytes,
  });
}

/**
 * Puts a block together from its parts, with all the checks of `decodeBlock`; `known` holds what
 * the caller has at hand.
 */
export function assembleBlock(
  headerBytes: Uint8Array,
  sign1: Uint8Array,
  keys: readonly Uint8Array[],
  entryBytes: readonly Uint8Array[],
  chain: Id,
  committees: Committees,
  known: { readonly table?: Uint8Array; readonly keyIds?: readonly Id[] } = {},
): Block {
  const table = known.table ?? encode(keys);
  const header = decodeHeader(headerBytes, chain, committees);
  const committee = committees.ofEpoch(header.epoch) as Committee;
  signatureOf(sign1);
  if (entryBytes.length > BLOCK_ENTRIES_MAX || entryBytes.length !== header.count) {
    fail('payload_mismatch', 'The entries are not as many as the header says.', {
      count: header.count,
    });
  }
  const payload = entryBytes.reduce((sum, entry) => sum + entry.length, table.length);
  if (payload !== header.bytes) {
    fail('payload_mismatch', 'The payload is not as large as the header says.', {
      bytes: header.bytes,
    });
  }
  const size = headerBytes.length + sign1.length + payload;
  if (size > BLOCK_BYTES_MAX) tooLarge(size);
  const leaves = entryBytes.map(leafHash);
  if (!equalBytes(rootOf([leafHash(table), ...leaves]), header.root)) {
    fail('payload_mismatch', 'The payload does not hash to the root in the header.');
  }
  const entries = entryBytes.map(decodeEntry);
  const keyIds = known.keyIds ?? keys.map(keyId);
  checkKeys(keyIds, entries, header.author, chain, committee);
  const ref = { round: header.round, author: header.author, id: idOf(headerBytes) };
  return { ref, header, headerBytes, sign1, keys, keyIds, entries, leaves, bytes: size };
}

function tooLarge(bytes: number): never {
  fail('block_too_large', `A block has at most ${BLOCK_BYTES_MAX} bytes.`, { bytes });
}

/** Leaf 0 as keys, sorted, none twice; throws `bad_key_table` or `bad_key`. */
export function decodeKeys(tableBytes: Uint8Array): readonly Uint8Array[] {
  const keys = splitByteStrings(tableBytes);
  for (const [i, key] of keys.entries()) {
    publicKeyOf(key);
    const previous = keys[i - 1];
    if (previous && compareBytes(previous, key) >= 0) {
      fail('bad_key_table', 'Keys are sorted and stand there once.');
    }
  }
  return keys;
}

function checkKeys(
  keyIds: readonly Id[],
  entries: readonly Entry[],
  author: number,
  chain: Id,
  committee: Committee,
): void {
  const unused = new Set(keyIds);
  const known = new Set(unused);
  const ownKey = committee.keyIdAt(author);
  if (known.has(ownKey)) fail('bad_key_table', "The author's key is known and not in the table.");
  for (const { event, sign1, id } of entries) {
    if (event.chain !== chain) fail('foreign_chain', 'An event of another chain.', { id });
    if (!sign1) {
      if (event.actor !== committee.at(author).actor || signingKeyId(event) !== ownKey) {
        fail('unsigned', 'Only the author of a block carries events without a signature.', { id });
      }
      continue;
    }
    const key = signingKeyId(event);
    unused.delete(key);
    if (key !== ownKey && !known.has(key)) {
      fail('bad_key_table', 'The key of an entry is missing.', { id });
    }
  }
  if (unused.size > 0) fail('bad_key_table', 'A key that no entry needs.', { unused: unused.size });
}

/** The job that checks the author's signature. */
export function blockJob(block: Block, committee: Committee): SignatureJob {
  return jobOf('block', block.headerBytes, block.sign1, committee.at(block.header.author).coseKey);
}

/**
 * One job per signature of an entry or inside it, and which entry it belongs to; `isKnown(i)`
 * leaves out those that were verified before.
 */
export function entryJobs(
  block: Block,
  committee: Committee,
  isKnown: (index: number) => boolean,
): { readonly jobs: readonly SignatureJob[]; readonly indexes: readonly number[] } {
  const keys = new Map(block.keyIds.map((id, i) => [id, block.keys[i]]));
  keys.set(committee.keyIdAt(block.header.author), committee.at(block.header.author).coseKey);
  const jobs: SignatureJob[] = [];
  const indexes: number[] = [];
  for (const [index, entry] of block.entries.entries()) {
    if (isKnown(index)) continue;
    const inner = innerJobs(entry.event);
    if (entry.sign1) {
      jobs.push(entryJob(entry, keys.get(signingKeyId(entry.event)) as Uint8Array));
      indexes.push(index);
    }
    for (const job of inner) {
      jobs.push(job);
      indexes.push(index);
    }
  }
  return { jobs, indexes };
}

/** What `sealBlock` fills in by itself is left out. */
export type Draft = Omit<Header, 'root' | 'count' | 'bytes'>;

/** The sorted key table for entries sealed by `author`; `keyOf` finds a COSE_Key by its SHA-256. */
export function keysFor(
  entries: readonly Entry[],
  author: number,
  committee: Committee,
  keyOf: (id: Id) => Uint8Array | undefined,
): readonly Uint8Array[] {
  const ids = new Set(entries.filter(({ sign1 }) => sign1).map(({ event }) => signingKeyId(event)));
  ids.delete(committee.keyIdAt(author));
  const keys = [...ids].map(
    (id) =>
      keyOf(id) ?? fail('unknown_key', 'The key of a pending event is not held.', { key: id }),
  );
  return keys.toSorted(compareBytes);
}

/** Builds and signs a block. The caller has seen to the limits (`BLOCK_OVERHEAD_BYTES`). */
export async function sealBlock(
  draft: Draft,
  entries: readonly Entry[],
  keys: readonly Uint8Array[],
  signer: Signer,
): Promise<Block> {
  const table = encode(keys);
  const leaves = entries.map(({ bytes }) => leafHash(bytes));
  const header: Header = {
    ...draft,
    root: rootOf([leafHash(table), ...leaves]),
    count: entries.length,
    bytes: entries.reduce((sum, { bytes }) => sum + bytes.length, table.length),
  };
  const headerBytes = encodeHeader(header);
  const sign1 = await sign(signer, 'block', headerBytes);
  const ref = { round: header.round, author: header.author, id: idOf(headerBytes) };
  const bytes = headerBytes.length + sign1.length + header.bytes;
  return { ref, header, headerBytes, sign1, keys, keyIds: keys.map(keyId), entries, leaves, bytes };
}

/** What one more key costs in the table. */
export const KEY_TABLE_ROW_BYTES = COSE_KEY_BYTES + 3;
