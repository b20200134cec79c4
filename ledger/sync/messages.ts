import { decode, encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import { decodeRef, encodeRef } from '#ledger/header.ts';
import type { Ref } from '#ledger/header.ts';
import { concatBytes, linkOf } from '#ledger/ids.ts';
import { COMMITTEE_MAX, ROUND_MAX } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';

/**
 * The messages of the request protocols. They are not signed: the blocks and events that they bring
 * are, and what a peer says of itself decides only what to ask for next.
 */

/** Blocks asked for at once. */
export const REFS_MAX = 128;
/** Event ids told or asked for at once: 32 KiB. */
export const EVENT_IDS_MAX = 1024;

/** What a node holds; both sides of an exchange send theirs. */
export interface Frontier {
  readonly chain: Id;
  readonly epoch: number;
  /** Every author's newest accepted block. */
  readonly newest: readonly Ref[];
  /** The last commit's index; 0 before the first. */
  readonly commit: number;
  /** Blocks up to this round cannot be asked for by parents. */
  readonly horizon: number;
  /** The sender's wall clock, milliseconds since the Unix epoch. */
  readonly wall_ms: number;
  /** Some of the signed events that wait for a block. */
  readonly waiting: readonly Id[];
  /** The first commit that can be asked for with its blocks: above 1 where the log was pruned. */
  readonly first: number;
}

const FRONTIER = new Set([
  't',
  'v',
  'chain',
  'epoch',
  'newest',
  'commit',
  'horizon',
  'wall_ms',
  'waiting',
  'first',
]);

export function encodeFrontier({
  chain,
  epoch,
  newest,
  commit,
  horizon,
  wall_ms,
  waiting,
  first,
}: Frontier): Uint8Array {
  return encode({
    t: 'frontier',
    v: 1,
    chain: linkOf(chain),
    epoch,
    newest: newest.map(encodeRef),
    commit,
    horizon,
    wall_ms,
    waiting: encodeIds(waiting),
    ...(first > 1 && { first }),
  });
}

export function decodeFrontier(bytes: Uint8Array): Frontier {
  const fields = field.fieldsOf(decode(bytes), FRONTIER, 'frontier');
  field.assertTag(fields, 'frontier');
  const most = Number.MAX_SAFE_INTEGER;
  return {
    chain: field.linkOfField(fields, 'chain'),
    epoch: field.integerOf(fields, 'epoch', 0, most),
    newest: field.listOf(fields['newest'], 'newest', COMMITTEE_MAX).map(decodeRef),
    commit: field.integerOf(fields, 'commit', 0, most),
    horizon: field.integerOf(fields, 'horizon', -1, most),
    wall_ms: field.integerOf(fields, 'wall_ms', 0, most),
    waiting: decodeIds(fields['waiting']),
    first: 'first' in fields ? field.integerOf(fields, 'first', 2, most) : 1,
  };
}

/** Blocks of one epoch. */
export interface BlocksRequest {
  readonly epoch: number;
  readonly refs: readonly Ref[];
}

export function encodeBlocksRequest({ epoch, refs }: BlocksRequest): Uint8Array {
  return encode([epoch, refs.map(encodeRef)]);
}

export function decodeBlocksRequest(bytes: Uint8Array): BlocksRequest {
  const [epoch, refs] = field.listOf(decode(bytes), 'request for blocks', 2);
  return {
    epoch: field.asInteger(epoch, 'epoch', 0, ROUND_MAX),
    refs: field.listOf(refs, 'refs', REFS_MAX).map(decodeRef),
  };
}

/**
 * The blocks of all commits from this index on. `skip`: how many of the blocks that decide the end
 * of the epoch of the commit before, and that no commit brings, came with an earlier answer.
 */
export interface RangeRequest {
  readonly from: number;
  readonly skip: number;
}

const RANGE = new Set(['from', 'skip']);

export function encodeRangeRequest({ from, skip }: RangeRequest): Uint8Array {
  return encode({ from, ...(skip > 0 && { skip }) });
}

export function decodeRangeRequest(bytes: Uint8Array): RangeRequest {
  const fields = field.fieldsOf(decode(bytes), RANGE, 'range request');
  return {
    from: field.integerOf(fields, 'from', 1, Number.MAX_SAFE_INTEGER),
    skip: 'skip' in fields ? field.integerOf(fields, 'skip', 1, ROUND_MAX) : 0,
  };
}

/**
 * A frame of a range: a sealed block, the index of the commit whose blocks are complete with it, or
 * the certificate with which an epoch ended.
 */
export type RangeFrame =
  | { readonly block: Uint8Array }
  | { readonly commit: number }
  | { readonly seal: Uint8Array };

export function encodeRangeFrame(frame: RangeFrame): Uint8Array {
  if ('block' in frame) return frame.block;
  return 'seal' in frame ? frame.seal : encode(frame.commit);
}

export function decodeRangeFrame(bytes: Uint8Array): RangeFrame {
  // major type 0 is a number, 5 a certificate, anything else a block; those are checked later
  const major = (bytes[0] ?? 0xff) >> 5;
  if (major === 5) return { seal: bytes };
  if (major !== 0) return { block: bytes };
  return { commit: field.asInteger(decode(bytes), 'commit', 1, Number.MAX_SAFE_INTEGER) };
}

/**
 * A request on `events`: give these, or take these; `isOrigin` asks the receiver to carry them at
 * once.
 */
export type EventsRequest =
  | { readonly want: readonly Id[] }
  | { readonly give: readonly PoolItem[]; readonly isOrigin: boolean };

/** A signed entry with its key. */
export interface PoolItem {
  readonly entry: Uint8Array;
  readonly coseKey: Uint8Array;
}

const EVENTS = new Set(['want', 'give', 'origin']);

export function encodeEventsRequest(request: EventsRequest): Uint8Array {
  return 'want' in request
    ? encode({ want: encodeIds(request.want) })
    : encode({ give: encodeItems(request.give), origin: request.isOrigin });
}

export function decodeEventsRequest(bytes: Uint8Array): EventsRequest {
  const fields = field.fieldsOf(decode(bytes), EVENTS, 'request for events');
  if ('want' in fields) return { want: decodeIds(fields['want']) };
  return { give: itemsOf(fields['give']), isOrigin: fields['origin'] === true };
}

/** A batch of pool items: a gossiped message or a response frame. */
export function encodePoolItems(items: readonly PoolItem[]): Uint8Array {
  return encode(encodeItems(items));
}

export function decodePoolItems(bytes: Uint8Array): readonly PoolItem[] {
  return itemsOf(decode(bytes));
}

function encodeItems(items: readonly PoolItem[]): readonly (readonly [Uint8Array, Uint8Array])[] {
  return items.map(({ entry, coseKey }) => [entry, coseKey] as const);
}

function itemsOf(value: unknown): readonly PoolItem[] {
  return field.listOf(value, 'events', EVENT_IDS_MAX).map((item) => {
    const [entry, coseKey] = field.listOf(item, 'event', 2);
    if (!(entry instanceof Uint8Array) || !(coseKey instanceof Uint8Array)) {
      fail('wrong_type', 'A pool item is an entry and its key.');
    }
    return { entry, coseKey };
  });
}

function encodeIds(ids: readonly Id[]): Uint8Array {
  return concatBytes(ids.slice(0, EVENT_IDS_MAX).map((id) => Uint8Array.fromHex(id)));
}

function decodeIds(value: unknown): readonly Id[] {
  const bytes = field.bytesOfField({ ids: value }, 'ids', EVENT_IDS_MAX * 32);
  if (bytes.length % 32 !== 0) fail('wrong_type', 'Ids are 32 bytes each.');
  return Array.from({ length: bytes.length / 32 }, (_, i) =>
    bytes.subarray(i * 32, i * 32 + 32).toHex(),
  );
}
