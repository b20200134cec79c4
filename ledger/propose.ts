import type { Committee } from './committee.ts';
import type { Ref } from './header.ts';
import type { Orderer } from './orderer.ts';

/** What a node may choose for its own pace; on restart it may choose otherwise. Milliseconds. */
export interface Pace {
  /** Least time between two own blocks at the live edge. */
  readonly roundDelay_ms: number;
  /** The same on a machine that is overloaded: fewer and fuller blocks. */
  readonly busyRoundDelay_ms: number;
  /** How long a round waits for the block of its leader, at first. */
  readonly leaderTimeout_ms: number;
}

/** Back-off of the leader timeout ends here. */
const LEADER_TIMEOUT_MS_MAX = 5000;
/** An author without a block in so many rounds is not waited for. */
const ALIVE_ROUNDS = 8;
/** How much longer a round gets for each millisecond by which the machine is late. */
const LATENESS_WEIGHT = 3;

/** All that the decision depends on; times on the monotonic clock. */
export interface Situation {
  readonly orderer: Orderer;
  readonly committee: Committee;
  readonly self: number;
  /** The threshold clock. */
  readonly clockRound: number;
  readonly entered_ms: number;
  /** The last own block; at the start of an epoch the own genesis block. */
  readonly last: Ref;
  readonly lastSeal_ms: number;
  /** By how much timers of this node fire late, smoothed: a measure of the machine's load. */
  readonly lateness_ms: number;
  /** The highest round of every author that an own block has referenced. */
  readonly referenced: ReadonlyMap<number, number>;
  /** Whether events wait that this node should carry now. */
  readonly hasPayload: boolean;
  isConnected(author: number): boolean;
}

export type Proposal =
  | { readonly type: 'none' }
  | { readonly type: 'wait'; readonly until_ms: number }
  | { readonly type: 'seal'; readonly round: number; readonly parents: readonly Ref[] };

const NONE: Proposal = { type: 'none' };

/**
 * The proposal rule of a quiescent DAG (consensus.md 2.5): a block is due only while something
 * waits to be ordered; undecided rounds are filled one by one, not jumped over; at the live edge a
 * node waits for the leader of the round below, but not for one that is away.
 */
export function propose(at: Situation, pace: Pace, now_ms: number): Proposal {
  const { orderer, committee, clockRound, last } = at;
  let round = Math.min(clockRound, Math.max(last.round, orderer.decidedRound) + 1);
  while (
    round < clockRound &&
    committee.stakeOf(orderer.dag.authors(round - 1)) < committee.quorum
  ) {
    round += 1;
  }
  if (round <= last.round) return NONE;
  if (!at.hasPayload && orderer.openCount === 0) return NONE;
  let parents = parentsFor(at, round);
  while (!parents && round < clockRound) {
    round += 1;
    parents = parentsFor(at, round);
  }
  if (!parents || (!at.hasPayload && !reachesOpen(orderer, tipsOf(at)))) return NONE;
  if (round === clockRound) {
    const until_ms = liveEdgeDelay(at, pace, now_ms);
    if (until_ms > now_ms) return { type: 'wait', until_ms };
  }
  return { type: 'seal', round, parents };
}

function liveEdgeDelay(at: Situation, pace: Pace, now_ms: number): number {
  const rest_ms = at.lastSeal_ms + roundDelay_ms(pace, at.lateness_ms);
  if (rest_ms > now_ms) return rest_ms;
  const { orderer, self, clockRound, entered_ms } = at;
  const leader = orderer.leaderOf(clockRound - 1);
  const isAwaited =
    leader !== self &&
    clockRound > 1 &&
    orderer.dag.slot(clockRound - 1, leader).length === 0 &&
    at.isConnected(leader) &&
    (orderer.dag.newest(leader)?.round ?? -1) >= clockRound - ALIVE_ROUNDS;
  return isAwaited
    ? entered_ms + leaderTimeout_ms(pace, clockRound - orderer.decidedRound)
    : now_ms;
}

/** The pause after a block: the short one, longer the later the machine is. */
export function roundDelay_ms(
  { roundDelay_ms: short, busyRoundDelay_ms: long }: Pace,
  lateness_ms: number,
): number {
  return Math.min(Math.max(short, long), short + LATENESS_WEIGHT * lateness_ms);
}

/** Grows by half with every wave that is not decided. */
function leaderTimeout_ms({ leaderTimeout_ms: base }: Pace, undecidedRounds: number): number {
  const waves = Math.max(0, Math.floor(undecidedRounds / 3) - 1);
  return Math.min(LEADER_TIMEOUT_MS_MAX, base * 1.5 ** waves);
}

/**
 * The own last block, then the newest block of every other author that no own block has referenced.
 * An author seen with two blocks in one slot is left out, unless there is no quorum without it:
 * then the first of its twins is taken, as any of them is legal. `undefined` where the round below
 * has no quorum among them.
 */
function parentsFor(at: Situation, round: number): readonly Ref[] | undefined {
  const parents = [refOf(at.last)];
  const twins: Ref[] = [];
  for (let author = 0; author < at.committee.size; author++) {
    if (author === at.self) continue;
    const { dag } = at.orderer;
    const block = dag.newestUpTo(author, round - 1);
    if (!block || block.round <= (at.referenced.get(author) ?? -1)) continue;
    (dag.slot(block.round, author).length > 1 ? twins : parents).push(refOf(block));
  }
  if (isQuorumBelow(at, parents, round)) return parents;
  const all = [...parents, ...twins];
  return isQuorumBelow(at, all, round) ? all : undefined;
}

function isQuorumBelow({ committee }: Situation, parents: readonly Ref[], round: number): boolean {
  const below = parents.filter((parent) => parent.round === round - 1).map(({ author }) => author);
  return committee.stakeOf(below) >= committee.quorum;
}

function refOf({ round, author, id }: Ref): Ref {
  return { round, author, id };
}

/**
 * The newest block of every author, whatever its round: what this proposal or one of the next will
 * refer to. A block at the round of the proposal itself counts, since the next round needs this
 * one's quorum.
 */
function tipsOf({ orderer, committee }: Situation): readonly Ref[] {
  return committee.validators.flatMap((_, author) => {
    const tip = orderer.dag.newest(author);
    return tip && orderer.dag.slot(tip.round, author).length === 1 ? tip : [];
  });
}

/**
 * Whether a block that waits to be ordered lies in the past of these. Unreferenced twins do not.
 */
function reachesOpen(orderer: Orderer, tips: readonly Ref[]): boolean {
  const open = new Set([...orderer.open].map(({ id }) => id));
  const seen = new Set<string>();
  const queue = [...tips];
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (seen.has(ref.id) || orderer.isOrdered(ref.id)) continue;
    seen.add(ref.id);
    if (open.has(ref.id)) return true;
    queue.push(...(orderer.dag.get(ref.id)?.parents ?? []));
  }
  return false;
}
