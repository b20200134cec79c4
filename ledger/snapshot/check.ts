import { verifyCertificate } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import type { Chain } from '#ledger/chain.ts';
import { decode } from '#ledger/codec.ts';
import { decodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import type { Committee } from '#ledger/committee.ts';
import { fail } from '#ledger/errors.ts';
import { decodeValidators } from '#ledger/genesis.ts';
import { equalBytes } from '#ledger/ids.ts';
import { GC_DEPTH } from '#ledger/limits.ts';
import { gcRoundAfter } from '#ledger/linearise.ts';
import { MerkleLog } from '#ledger/merkle.ts';
import type { Verifier } from '#ledger/ports.ts';
import { walkEpochs } from '#ledger/receipt-check.ts';
import type { EpochLink } from '#ledger/receipt.ts';
import { decodeHead, linksOf } from './format.ts';
import type { SnapshotHead } from './format.ts';

/** What a peer offers, verified from the genesis on; leaves and rows are still to come. */
export interface Offer {
  readonly head: SnapshotHead;
  /** How the epochs up to the checkpoint's ended, and its own where the checkpoint ends it. */
  readonly ends: readonly Certificate[];
  /** Committees of epoch 0 and of those that follow the `ends`. */
  readonly committees: readonly Committee[];
  /** The checkpoint's commit and those before it that its DAG needs, newest first. */
  readonly commits: readonly Commit[];
  readonly size: number;
}

/** Rounds up to here are below the DAG that goes on from a commit; -1 where none is. */
export function horizonAfter({ leader }: Commit): number {
  const round = gcRoundAfter(leader.round, GC_DEPTH);
  return round === 0 ? -1 : round;
}

/**
 * Whether a commit is the first that the DAG after `last` can do without: it ordered nothing above
 * the horizon of this epoch.
 */
export function isBelow(commit: Commit, last: Commit): boolean {
  const isOfEpoch = commit.epoch === last.epoch;
  return !isOfEpoch || commit.leader.round <= horizonAfter(last) || commit.index === 1;
}

/**
 * Reads the frames of an offer and verifies all of them: certificates and committees from the
 * genesis on, commits by their hash chain down from the certified one. Throws `bad_snapshot` and
 * the codes of what it reads.
 */
export async function readOffer(
  frames: readonly Uint8Array[],
  chain: Chain,
  verifier: Pick<Verifier, 'verify'>,
): Promise<Offer> {
  const head = decodeHead(frames[0] ?? bad('An offer without a head.'));
  const { certificate, before } = head;
  const { checkpoint } = certificate;
  if (checkpoint.chain !== chain.id) fail('foreign_chain', 'A snapshot of another chain.');
  const count = linksOf(certificate);
  const links: EpochLink[] = [];
  for (let i = 0; i < count; i++) {
    const end = frames[1 + 2 * i];
    const next = frames[2 + 2 * i];
    if (!end || !next) bad('The committee chain of a snapshot is not whole.');
    links.push({ certificate: end, next: decodeValidators(decode(next)) });
  }
  const { committees, ends } = await walkEpochs(links, chain.committee, chain.id, verifier);
  const last = ends.at(-1);
  if (checkpoint.cut === 'epoch') {
    if (!last || !equalBytes(last.bytes, certificate.bytes)) bad('The chain ends elsewhere.');
  } else await verifyCertificate(certificate, committees.at(-1) as Committee, verifier);
  const prev = before?.id ?? (checkpoint.cut === 'idle' ? chain.id : checkpoint.prev);
  if (prev !== checkpoint.prev) bad('The checkpoint before is not the one that is named.');
  const commits = readCommits(frames.slice(1 + 2 * count), certificate);
  // throws where the number of peaks does not fit
  const tree = new MerkleLog(head.base, head.peaks);
  if (tree.size > checkpoint.size) bad('The leaves begin after the end.');
  return { head, ends, committees, commits, size: checkpoint.size };
}

function readCommits(frames: readonly Uint8Array[], { checkpoint }: Certificate): Commit[] {
  const commits = frames.map(decodeCommit);
  let wanted = checkpoint.commit;
  for (const { id, index, previous } of commits) {
    if (id !== wanted.id || index !== wanted.index) bad('A commit is not the certified one.');
    wanted = { id: previous, index: index - 1 };
  }
  const [last] = commits;
  const lowest = commits.at(-1);
  if (!last || !lowest) return bad('The certified commit is missing.');
  if (checkpoint.cut !== 'epoch' && !isBelow(lowest, last)) bad('Commits are missing.');
  return commits;
}

/** Ends the reading of what a peer sent: it is not what the quorum signed. */
export function bad(why: string): never {
  fail('bad_snapshot', why);
}
