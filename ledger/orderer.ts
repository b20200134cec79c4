import { makeCommit } from './commit.ts';
import type { Commit } from './commit.ts';
import type { Committee } from './committee.ts';
import { Dag } from './dag.ts';
import type { DagBlock } from './dag.ts';
import { fail } from './errors.ts';
import { genesisBlockId } from './genesis.ts';
import type { Ref } from './header.ts';
import { leaderSchedule } from './leaders.ts';
import { GC_DEPTH } from './limits.ts';
import { commitTime_ms, gcRoundAfter, linearise } from './linearise.ts';
import type { Id } from './ports.ts';
import { CommitRule } from './rule.ts';
import type { Slot } from './rule.ts';

/** Where an epoch starts, or where a restarted node goes on. */
export interface OrdererState {
  readonly cursor: Slot | undefined;
  /** The last commit's part that the next one needs. */
  readonly last: {
    readonly index: number;
    readonly id: Id;
    readonly ts_ms: number;
    readonly leaderRound: number;
  };
}

/**
 * From accepted blocks to commits: the DAG, the commit rule with its cursor, and the lineariser.
 * Deterministic and without effects; the node and the auditor run the same code.
 */
export class Orderer {
  readonly dag: Dag;
  readonly leaderOf: (round: number) => number;
  readonly committee: Committee;
  readonly #chain: Id;
  readonly #rule: CommitRule;
  #cursor: Slot | undefined;
  #isEnded = false;
  #last: OrdererState['last'];
  /** Ids above the horizon that a commit has ordered. */
  readonly #ordered = new Map<Id, Ref>();
  /** Accepted blocks with a payload that no commit has ordered yet. */
  readonly #open = new Map<Id, DagBlock>();

  /** `start_ms` is the time of the blocks at round 0: the end of the epoch before. */
  constructor(chain: Id, committee: Committee, start_ms: number, state?: OrdererState) {
    this.committee = committee;
    this.#chain = chain;
    this.#cursor = state?.cursor;
    this.#last = state?.last ?? { index: 0, id: chain, ts_ms: 0, leaderRound: 0 };
    const gcRound = gcRoundAfter(this.#last.leaderRound, GC_DEPTH);
    this.dag = new Dag(gcRound === 0 ? -1 : gcRound);
    if (gcRound === 0) this.#addGenesisBlocks(start_ms);
    this.leaderOf = leaderSchedule(chain, committee);
    this.#rule = new CommitRule(this.dag, {
      thresholds: committee,
      stakeOf: (author) => committee.at(author).stake,
      leadersOf: (round) => [this.leaderOf(round)],
    });
  }

  #addGenesisBlocks(ts_ms: number): void {
    for (let author = 0; author < this.committee.size; author++) {
      this.dag.add({ ...this.genesisRef(author), parents: [], ts_ms, hasPayload: false });
    }
  }

  /** An author's block at round 0, whether it is held still or below the horizon. */
  genesisRef(author: number): Ref {
    return { round: 0, author, id: genesisBlockId(this.#chain, this.committee, author) };
  }

  get state(): OrdererState {
    return { cursor: this.#cursor, last: this.#last };
  }

  /** Round of the last decided leader slot, skipped ones included; 0 before the first. */
  get decidedRound(): number {
    return this.#cursor?.round ?? 0;
  }

  isOrdered(id: Id): boolean {
    return this.#ordered.has(id);
  }

  /** Payload that waits to be ordered, in no particular order. */
  get open(): Iterable<DagBlock> {
    return this.#open.values();
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** A block that an earlier commit has ordered; used when a restarted node loads its DAG. */
  markOrdered({ id, round, author }: Ref): void {
    if (round > this.dag.horizon) this.#ordered.set(id, { round, author, id });
    this.#open.delete(id);
  }

  /**
   * Ordered blocks above the horizon that are not held: a node that joined by a snapshot fetches
   * them first, since every later block stands on them.
   */
  get absent(): Ref[] {
    return [...this.#ordered.values()]
      .filter(({ id, round }) => round > this.dag.horizon && !this.dag.get(id))
      .toSorted((a, b) => a.round - b.round);
  }

  /** Adds a valid block whose parents are held. */
  accept(block: DagBlock): void {
    this.dag.add(block);
    if (block.hasPayload && !this.#ordered.has(block.id)) this.#open.set(block.id, block);
  }

  /** Whether the last commit of the epoch was made: the rule runs no more. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The last stored commit is the last of the epoch; used by a restarted node. */
  end(): void {
    this.#isEnded = true;
  }

  /**
   * Runs the rule. Returns the new commits in order, and the blocks with payload that fell below
   * the horizon without being ordered: their events go back to the pool (Sui 19315). `isLast` is
   * asked after every commit; where it says so nothing further is decided, now and later, so that
   * the end of an epoch is a function of the commits alone (consensus.md 2.10). `isEnough` may
   * leave the rest to the next call.
   */
  advance(
    isLast: (commit: Commit) => boolean = () => false,
    isEnough: () => boolean = () => false,
  ): { readonly commits: readonly Commit[]; readonly lost: readonly DagBlock[] } {
    const commits: Commit[] = [];
    const lost: DagBlock[] = [];
    for (const decision of this.#isEnded ? [] : this.#rule.decide(this.#cursor)) {
      this.#cursor = { round: decision.round, author: decision.author };
      if (decision.status !== 'commit') continue;
      const commit = this.#commit(
        this.dag.get(decision.block.id) ?? fail('dag_hole', 'The leader is held.'),
      );
      commits.push(commit);
      this.#isEnded = isLast(commit);
      // the epoch's blocks stay in reach of those who have not decided its end
      if (this.#isEnded) break;
      const horizon = gcRoundAfter(this.#last.leaderRound, GC_DEPTH);
      for (const gone of horizon === 0 ? [] : this.dag.prune(horizon)) {
        this.#ordered.delete(gone.id);
        if (this.#open.delete(gone.id)) lost.push(gone);
      }
      if (isEnough()) break;
    }
    if (this.#cursor) this.#rule.forgetUpTo(this.#cursor.round);
    return { commits, lost };
  }

  #commit(leader: DagBlock): Commit {
    const gcRound = gcRoundAfter(this.#last.leaderRound, GC_DEPTH);
    const blocks = linearise(this.dag, leader, gcRound, (id) => this.#ordered.has(id));
    for (const block of blocks) this.markOrdered(block);
    const supporters = leader.parents
      .filter(({ round }) => round === leader.round - 1)
      .map(({ id, author }) => ({
        ts_ms: this.dag.get(id)?.ts_ms ?? fail('dag_hole', "A leader's parent is held.", { id }),
        stake: this.committee.at(author).stake,
      }));
    const commit = makeCommit({
      index: this.#last.index + 1,
      epoch: this.committee.epoch,
      previous: this.#last.id,
      leader: refOf(leader),
      blocks: blocks.map(refOf),
      ts_ms: commitTime_ms(this.#last.ts_ms, supporters),
    });
    this.#last = {
      index: commit.index,
      id: commit.id,
      ts_ms: commit.ts_ms,
      leaderRound: leader.round,
    };
    return commit;
  }
}

function refOf({ round, author, id }: Ref): Ref {
  return { round, author, id };
}
