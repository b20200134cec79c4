import { decode, encode } from './codec.ts';
import * as field from './fields.ts';
import { decodeRef, encodeRef } from './header.ts';
import type { Ref } from './header.ts';
import { idOf, linkOf } from './ids.ts';
import type { Id } from './ports.ts';

/**
 * One decided leader and the blocks that it newly orders. Commits form a hash chain; nobody signs
 * them.
 */
export interface Commit {
  /** From 1, over all epochs. */
  readonly index: number;
  readonly epoch: number;
  /** Id of the previous commit; of the genesis object for the first. */
  readonly previous: Id;
  readonly leader: Ref;
  /** The newly ordered blocks in their order; the leader is the last of its round. */
  readonly blocks: readonly Ref[];
  /** Milliseconds since the Unix epoch; never goes back from commit to commit. */
  readonly ts_ms: number;
  readonly id: Id;
}

const KNOWN = new Set(['t', 'v', 'index', 'epoch', 'previous', 'leader', 'blocks', 'ts_ms']);
/**
 * A commit may follow a long partition; this is the whole DAG above the horizon several times over.
 */
const BLOCKS_MAX = 1_000_000;

export function encodeCommit({
  index,
  epoch,
  previous,
  leader,
  blocks,
  ts_ms,
}: Omit<Commit, 'id'>): Uint8Array {
  return encode({
    t: 'commit',
    v: 1,
    index,
    epoch,
    previous: linkOf(previous),
    leader: encodeRef(leader),
    blocks: blocks.map(encodeRef),
    ts_ms,
  });
}

export function makeCommit(parts: Omit<Commit, 'id'>): Commit {
  return { ...parts, id: idOf(encodeCommit(parts)) };
}

export function decodeCommit(bytes: Uint8Array): Commit {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'commit');
  field.assertTag(fields, 'commit');
  return {
    index: field.integerOf(fields, 'index', 1, Number.MAX_SAFE_INTEGER),
    epoch: field.integerOf(fields, 'epoch', 0, Number.MAX_SAFE_INTEGER),
    previous: field.linkOfField(fields, 'previous'),
    leader: decodeRef(fields['leader']),
    blocks: field.listOf(fields['blocks'], 'blocks', BLOCKS_MAX).map(decodeRef),
    ts_ms: field.integerOf(fields, 'ts_ms', 0, Number.MAX_SAFE_INTEGER),
    id: idOf(bytes),
  };
}
