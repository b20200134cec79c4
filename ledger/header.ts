import { decode, encode } from './codec.ts';
import type { Committee, Committees } from './committee.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { genesisBlockId } from './genesis.ts';
import { bytesOf, idOfLink, linkOf } from './ids.ts';
import { BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, COMMITTEE_MAX, ROUND_MAX } from './limits.ts';
import type { Hash } from './merkle.ts';
import type { Id } from './ports.ts';

/**
 * The name of a block: its slot (round, author) and the CID of its header. Equivocating twins share
 * the slot.
 */
export interface Ref {
  readonly round: number;
  readonly author: number;
  readonly id: Id;
}

/**
 * A block's header (wire.md, "Block"); `ts_ms` is the author's wall clock in milliseconds since the
 * Unix epoch.
 */
export interface Header {
  readonly chain: Id;
  readonly epoch: number;
  /** `Committee.id`. */
  readonly committee: Id;
  readonly round: number;
  readonly author: number;
  readonly ts_ms: number;
  /** The author's previous block first, then at most one of each other author. */
  readonly parents: readonly Ref[];
  readonly root: Hash;
  readonly count: number;
  readonly bytes: number;
  /** The author's last commit when it sealed. */
  readonly vote?: { readonly index: number; readonly id: Id };
}

const KNOWN = new Set([
  't',
  'v',
  'chain',
  'epoch',
  'committee',
  'round',
  'author',
  'ts_ms',
  'parents',
  'root',
  'count',
  'bytes',
  'vote',
]);

export function encodeHeader(header: Header): Uint8Array {
  const { chain, epoch, committee, round, author, ts_ms, parents, root, count, bytes, vote } =
    header;
  return encode({
    t: 'block',
    v: 1,
    chain: linkOf(chain),
    epoch,
    committee: bytesOf(committee),
    round,
    author,
    ts_ms,
    parents: parents.map(encodeRef),
    root,
    count,
    bytes,
    ...(vote && { vote: [vote.index, linkOf(vote.id)] }),
  });
}

/**
 * Reads a header and checks what needs no parents: consensus.md 2.3, rules 1 to 4 without the
 * signature.
 */
export function decodeHeader(headerBytes: Uint8Array, chain: Id, committees: Committees): Header {
  const fields = field.fieldsOf(decode(headerBytes), KNOWN, 'block');
  field.assertTag(fields, 'block');
  if (field.linkOfField(fields, 'chain') !== chain) {
    fail('foreign_chain', 'A block of another chain.');
  }
  const epoch = field.integerOf(fields, 'epoch', 0, ROUND_MAX);
  const committee = committees.ofEpoch(epoch);
  if (!committee || field.digestOf(fields, 'committee') !== committee.id) {
    fail('foreign_committee', 'A block of another committee or epoch.', { epoch });
  }
  const round = field.integerOf(fields, 'round', 1, ROUND_MAX);
  const author = field.integerOf(fields, 'author', 0, committee.size - 1);
  const parents = field.listOf(fields['parents'], 'parents', committee.size).map(decodeRef);
  checkParents(parents, round, author, chain, committee);
  const root = field.bytesOfField(fields, 'root', 32);
  if (root.length !== 32) {
    fail('wrong_type', 'root is a byte string of 32 bytes.', { field: 'root' });
  }
  return {
    chain,
    epoch,
    committee: committee.id,
    round,
    author,
    ts_ms: field.integerOf(fields, 'ts_ms', 0, Number.MAX_SAFE_INTEGER),
    parents,
    root,
    count: field.integerOf(fields, 'count', 0, BLOCK_ENTRIES_MAX),
    bytes: field.integerOf(fields, 'bytes', 1, BLOCK_BYTES_MAX),
    ...('vote' in fields && { vote: decodeVote(fields['vote']) }),
  };
}

/** What a header claims to be, by itself. */
export interface HeaderSlot {
  readonly chain: Id;
  readonly epoch: number;
  readonly committee: Id;
  readonly round: number;
  readonly author: number;
}

/** Reads the claims of a header without knowing its committee; throws coded errors. */
export function readSlot(headerBytes: Uint8Array): HeaderSlot {
  const fields = field.fieldsOf(decode(headerBytes), KNOWN, 'block');
  field.assertTag(fields, 'block');
  return {
    chain: field.linkOfField(fields, 'chain'),
    epoch: field.integerOf(fields, 'epoch', 0, ROUND_MAX),
    committee: field.digestOf(fields, 'committee'),
    round: field.integerOf(fields, 'round', 1, ROUND_MAX),
    author: field.integerOf(fields, 'author', 0, COMMITTEE_MAX - 1),
  };
}

/**
 * Rules 2 to 4: own block first, one per author, all earlier, genesis at round 0, a quorum one
 * round back.
 */
function checkParents(
  parents: readonly Ref[],
  round: number,
  author: number,
  chain: Id,
  committee: Committee,
): void {
  if (parents[0]?.author !== author) {
    fail('bad_parents', "A block's first parent is its author's previous block.");
  }
  const authors = new Set<number>();
  let previousRoundStake = 0;
  for (const parent of parents) {
    if (parent.author >= committee.size) fail('bad_parents', 'A parent of an unknown author.');
    if (authors.has(parent.author)) {
      fail('bad_parents', 'Two parents of one author.', { author: parent.author });
    }
    if (parent.round >= round) fail('bad_parents', 'A parent that is not of an earlier round.');
    if (parent.round === 0 && parent.id !== genesisBlockId(chain, committee, parent.author)) {
      fail('bad_parents', 'A parent at round 0 that is not the genesis block of its author.');
    }
    authors.add(parent.author);
    if (parent.round === round - 1) previousRoundStake += committee.at(parent.author).stake;
  }
  if (previousRoundStake < committee.quorum) {
    fail('no_quorum', 'The parents of the previous round are no quorum.', {
      stake: previousRoundStake,
    });
  }
}

export function encodeRef({
  round,
  author,
  id,
}: Ref): readonly [number, number, ReturnType<typeof linkOf>] {
  return [round, author, linkOf(id)];
}

/** Reads `[round, author, cid]`; throws coded errors. */
export function decodeRef(value: unknown): Ref {
  const triple = field.listOf(value, 'ref', 3);
  return {
    round: field.asInteger(triple[0], 'round', 0, ROUND_MAX),
    author: field.asInteger(triple[1], 'author', 0, 0xffff),
    id: idOfLink(triple[2]),
  };
}

function decodeVote(value: unknown): { readonly index: number; readonly id: Id } {
  const pair = field.listOf(value, 'vote', 2);
  return {
    index: field.asInteger(pair[0], 'vote', 1, Number.MAX_SAFE_INTEGER),
    id: idOfLink(pair[1]),
  };
}
