import type { Id } from './ports.ts';
import type { CheckpointSlot } from './checkpoint.ts';
import type { Ref } from './header.ts';

/**
 * The layout of a node's store: one place for every key. Numbers are fixed-width hex, so that keys
 * sort as they count. `range` ends are the prefix with its last character raised by one.
 */

function hex(value: number, width: number): string {
  return value.toString(16).padStart(width, '0');
}

/** No round begins with an x, which sorts after all digits. */
function blocksOf(epoch: number): string {
  return epoch === 0 ? 'b/' : `b/x${hex(epoch, 8)}/`;
}

export const storeKeys = {
  /** Format and network of the store: read first. */
  format: 'a/format',
  /** Present where an earlier store of this validator was lost: it seals nothing in this epoch. */
  lost: 'a/lost',
  /** The event with which it said so: it seals again in an epoch after the one that has it. */
  returning: 'a/return',
  /** The genesis object. */
  genesis: 'a/genesis',
  /** Where the fold stands; written with every commit. */
  fold: 'a/fold',
  /** The running incremental digest of a projection, or of `replay`. */
  stateHash: (name: string) => `a/hash/${name}`,
  /** The last own block: its slot must never be signed again. */
  ownLast: 'a/own',
  /**
   * A sealed block: header, signature, key ids, entries. Rounds begin anew in every epoch; those of
   * epoch 0 carry none, as stores had them before there were others, and sort first.
   */
  block: ({ round, author, id }: Ref, epoch = 0) =>
    `${blocksOf(epoch)}${hex(round, 8)}/${hex(author, 4)}/${id}`,
  blocksOfRound: (round: number, epoch = 0) => `${blocksOf(epoch)}${hex(round, 8)}/`,
  /** How an epoch from 1 on begins: its committee and the certificate of the one before. */
  epoch: (epoch: number) => `g/${hex(epoch, 8)}`,
  /** A COSE_Key by its SHA-256: kept once, whatever block carries it. */
  coseKey: (id: Id) => `k/${id}`,
  commit: (index: number) => `c/${hex(index, 12)}`,
  /** A row of the final log by its number. */
  final: (seq: number) => `f/${hex(seq, 12)}`,
  /** The number in the final log by event id. */
  finalOfEvent: (id: Id) => `e/${id}`,
  /** An accepted event that is not final. */
  pending: (id: Id) => `p/${id}`,
  /** A row of a projection. */
  row: (projection: string, key: string) => `s/${projection}/${key}`,
  /** The replay window of a lane, and the number of lanes of an actor. */
  lane: (actor: Id, lane: number) => `w/${actor}/${hex(lane, 4)}`,
  laneCount: (actor: Id) => `w/${actor}`,
  /** A complete subtree of the final log's tree: of 2^level leaves (`log-tree.ts`). */
  treeNode: (level: number, index: number) => `t/${hex(level, 2)}/${hex(index, 12)}`,
  /** Where the chain of checkpoints stands: written with each of its cuts. */
  cuts: 'a/cuts',
  /** Two checkpoints of one slot that a quorum of votes holds apart: finality is halted. */
  diverged: 'a/diverged',
  /** A checkpoint as this node computed it. */
  ownCheckpoint: (slot: CheckpointSlot) => `h/own/${slotText(slot)}`,
  /** The id that this validator signs in a slot; never another. */
  signedCheckpoint: (slot: CheckpointSlot) => `h/signed/${slotText(slot)}`,
  certificate: (slot: CheckpointSlot) => `h/cert/${slotText(slot)}`,
  certificatesFrom: (size: number) => `h/cert/${hex(size, 12)}/`,
  /** Size of an epoch's last checkpoint, once it is certified. */
  epochEnd: (epoch: number) => `h/end/${hex(epoch, 8)}`,
  /** The validators of an epoch but the first: as the genesis lists its own. */
  committee: (epoch: number) => `h/committee/${hex(epoch, 8)}`,
  /** A vote that speaks against its author or against this node. */
  evidence: (slot: CheckpointSlot, id: Id, author: number) =>
    `h/evidence/${slotText(slot)}/${id}/${hex(author, 4)}`,
  ownCheckpointsFrom: (size: number) => `h/own/${hex(size, 12)}/`,
  /** What was pruned, or never fetched (`snapshot/pruned.ts`). */
  pruned: 'a/pruned',
  /** A fetched snapshot is being put in place (`snapshot/install.ts`). */
  installing: 'a/install',
  /** Parts of a snapshot that is being fetched: leaves, rows, single records. */
  staged: (part: 'leaves' | 'rows' | 'records', index: number) => `i/${part}/${hex(index, 8)}`,
  /** A snapshot that this node made for others, and the chunks of its rows. */
  snapshot: (size: number) => `y/head/${hex(size, 12)}`,
  snapshotChunk: (size: number, index: number) => `y/rows/${hex(size, 12)}/${hex(index, 8)}`,
} as const;

/** Checkpoints sort by size. */
function slotText({ size, epoch, cut }: CheckpointSlot): string {
  return `${hex(size, 12)}/${hex(epoch, 8)}/${cut}`;
}

/** The blocks of one epoch from a round on, by round, author and id. */
export function epochRange(
  epoch: number,
  round = 0,
): { readonly gte: string; readonly lt: string } {
  const gte = storeKeys.blocksOfRound(round, epoch);
  return { gte, lt: epoch === 0 ? 'b/g' : prefixRange(blocksOf(epoch)).lt };
}

/** The epoch of a block's key. */
export function epochOfBlockKey(key: string): number {
  return key[2] === 'x' ? Number.parseInt(key.slice(3, 11), 16) : 0;
}

/** Round, author and id in a block's key. */
export function refOfBlockKey(key: string): Ref {
  const [round = '', author = '', id = ''] = key.split('/').slice(-3);
  return { round: Number.parseInt(round, 16), author: Number.parseInt(author, 16), id };
}

/** The range of all keys that start with `prefix`, which ends in an ASCII character. */
export function prefixRange(prefix: string): { readonly gte: string; readonly lt: string } {
  const last = prefix.charCodeAt(prefix.length - 1);
  return { gte: prefix, lt: prefix.slice(0, -1) + String.fromCharCode(last + 1) };
}

/** A row of the final log: what, with which verdict, and which block's which entry. 84 bytes. */
export interface FinalRow {
  readonly id: Id;
  readonly verdict: number;
  readonly commit: number;
  readonly block: Ref;
  /** Index of the entry in the block. */
  readonly entry: number;
}

const FINAL_ROW_BYTES = 32 + 2 + 8 + 4 + 2 + 32 + 2;

export function encodeFinalRow({ id, verdict, commit, block, entry }: FinalRow): Uint8Array {
  const row = new Uint8Array(FINAL_ROW_BYTES);
  const view = new DataView(row.buffer);
  row.setFromHex(id);
  view.setUint16(32, verdict);
  writeNumber(view, 34, commit);
  view.setUint32(42, block.round);
  view.setUint16(46, block.author);
  row.subarray(48).setFromHex(block.id);
  view.setUint16(80, entry);
  return row;
}

export function decodeFinalRow(row: Uint8Array): FinalRow {
  const view = new DataView(row.buffer, row.byteOffset);
  return {
    id: row.subarray(0, 32).toHex(),
    verdict: view.getUint16(32),
    commit: readNumber(view, 34),
    block: {
      round: view.getUint32(42),
      author: view.getUint16(46),
      id: row.subarray(48, 80).toHex(),
    },
    entry: view.getUint16(80),
  };
}

/** A whole number as 8 bytes, big-endian. */
export function encodeNumber(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeNumber(new DataView(bytes.buffer), 0, value);
  return bytes;
}

export function decodeNumber(bytes: Uint8Array): number {
  return readNumber(new DataView(bytes.buffer, bytes.byteOffset), 0);
}

/** Writes a safe integer as u64, big-endian; without BigInt, which costs ten times as much. */
export function writeNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

export function readNumber(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
