import type { Block } from '#ledger/block.ts';
import type { Chain } from '#ledger/chain.ts';
import type { Commit } from '#ledger/commit.ts';
import { Committee } from '#ledger/committee.ts';
import { fail } from '#ledger/errors.ts';
import { Fold } from '#ledger/fold.ts';
import type { Summary } from '#ledger/fold.ts';
import type { Ref } from '#ledger/header.ts';
import { textOf } from '#ledger/ids.ts';
import { GC_DEPTH } from '#ledger/limits.ts';
import { compareRefs, gcRoundAfter } from '#ledger/linearise.ts';
import { Orderer } from '#ledger/orderer.ts';
import type { OrdererState } from '#ledger/orderer.ts';
import type { Id, StoreOp } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { TwoCertificates } from '#ledger/rule.ts';
import type { Slot } from '#ledger/rule.ts';
import { WaitingBlocks } from '#ledger/waiting.ts';
import { AuditState } from './audit-state.ts';
import type { Manifest } from './manifest.ts';
import type { Place } from './place.ts';

/** What the refold needs of a block whose signatures are right. */
export interface RefoldBlock {
  readonly ref: Ref;
  /** Where it stands, for a finding about it that shows only later. */
  readonly place: Place;
  readonly parents: readonly Ref[];
  readonly ts_ms: number;
  readonly hasPayload: boolean;
  /** Reads its entries; called once, when a commit orders the block. */
  entries(): Block['entries'];
}

/** What looks at the folded rows before they are dropped; throws findings. */
export interface RefoldWatcher {
  commit(commit: Commit): void;
  rows(ops: readonly StoreOp[]): void;
}

/**
 * Blocks that may wait for the horizon to pass a parent that is not there. A node takes a late
 * block without its parents once these are out of reach; what waits is bounded by the rounds that
 * the horizon lags behind, unless blocks were taken out of the log.
 */
const WAITING_MAX = 4096;
/** Rounds between two runs of the commit rule: it looks at every open round each time. */
const ROUNDS_PER_RUN = 8;
/**
 * Final events between two takings of the fold's rows: bounds what the fold holds (some 50 MB).
 * Each taking digests the rows that changed, at 10 µs a row.
 */
const FINALS_PER_TAKING = 65_536;

/**
 * Runs the commit rule from genesis over blocks in the order (round, author, id) and folds the
 * commits up to the one that a node reported. Later commits are counted only: whoever holds more
 * blocks may decide more.
 */
export class Refold {
  readonly state = new AuditState();
  readonly fold: Fold;
  readonly #chain: Chain;
  #orderer: Orderer;
  readonly #target: Manifest['commit'];
  readonly #watcher: RefoldWatcher | undefined;
  readonly #open = new Map<Id, RefoldBlock>();
  /** Blocks without all of their parents; of each author as many as of all. */
  #waiting = new WaitingBlocks<RefoldBlock>(WAITING_MAX);
  #last: Ref | undefined;
  #runRound = 0;
  #untaken = 0;
  #commits = 0;
  #beyond = 0;
  #lastFolded: OrdererState['last'];
  #slotAfter: Slot | undefined;
  #isHalted = false;

  /** Throws `schema_mismatch` where this software cannot fold the chain. */
  constructor(
    chain: Chain,
    schema: Schema,
    target: Manifest['commit'],
    watcher?: RefoldWatcher,
  ) {
    this.#chain = chain;
    this.fold = new Fold(this.state, chain.genesis, schema);
    this.#orderer = new Orderer(chain.id, chain.committee, chain.genesis.created_ms);
    this.#target = target;
    this.#watcher = watcher;
    this.#lastFolded = { index: 0, id: chain.id, ts_ms: 0, leaderRound: 0 };
  }

  /** The committees that followed on that of the genesis. */
  readonly committees: Committee[] = [];

  /** The committee of the epoch whose blocks come now. */
  get committee(): Committee {
    return this.#orderer.committee;
  }

  /**
   * All blocks of an epoch were taken, and others follow: decides its end, from which the next
   * committee follows. Throws `audit_epoch_open` where the log does not end the epoch.
   */
  nextEpoch(): Committee {
    this.run();
    if (!this.#isHalted) this.#assertWhole();
    const { epoch } = this.committee;
    const end = this.fold.cuts.take().at(-1);
    if (!this.#orderer.isEnded || end?.cut !== 'epoch' || end.epoch !== epoch) {
      return fail('audit_epoch_open', 'Blocks of a later epoch follow, and the log ends none.', {
        kind: 'commit',
        commit: this.#commits,
        epoch,
      });
    }
    const next = new Committee(epoch + 1, this.fold.seats.validators, end.id);
    this.committees.push(next);
    const last = { ...this.#lastFolded, leaderRound: 0 };
    this.#lastFolded = last;
    this.#orderer = new Orderer(this.#chain.id, next, last.ts_ms, { cursor: undefined, last });
    this.#open.clear();
    this.#waiting = new WaitingBlocks(WAITING_MAX);
    this.#last = undefined;
    this.#runRound = 0;
    return next;
  }

  /** Commits that were folded. */
  get commits(): number {
    return this.#commits;
  }

  /** Commits that the blocks decide after the reported one. */
  get commitsBeyond(): number {
    return this.#beyond;
  }

  /** The leader slot of the first commit after the reported one, where the blocks decide one. */
  get slotAfter(): Slot | undefined {
    return this.#slotAfter;
  }

  get leaderOf(): (round: number) => number {
    return this.#orderer.leaderOf;
  }

  /** Round of the last leader slot that the blocks decide. */
  get decidedRound(): number {
    return this.#orderer.decidedRound;
  }

  /**
   * Takes the next block. Throws `audit_order` without a place, and `audit_missing_parent` where
   * too many blocks wait for one.
   */
  accept(block: RefoldBlock): void {
    const { ref, parents } = block;
    if (this.#last && compareRefs(this.#last, ref) >= 0) {
      fail('audit_order', 'Blocks stand there once, by round, author and id.', { id: ref.id });
    }
    this.#last = ref;
    if (ref.round >= this.#runRound + ROUNDS_PER_RUN) this.run();
    const missing = this.#orderer.dag.missing(parents);
    if (missing.length === 0) this.#add(block);
    else {
      this.#waiting.add(block, missing);
      if (this.#waiting.size >= WAITING_MAX) this.#assertWhole();
    }
  }

  /** Adds a block to the DAG, and those that waited for it only. */
  #add(first: RefoldBlock): void {
    const { dag } = this.#orderer;
    const ready = [first];
    for (let block = ready.pop(); block; block = ready.pop()) {
      const { ref, parents, ts_ms, hasPayload } = block;
      if (ref.round <= dag.horizon) continue;
      const missing = dag.missing(parents);
      if (missing.length > 0) {
        this.#waiting.add(block, missing);
        continue;
      }
      this.#orderer.accept({ ...ref, parents, ts_ms, hasPayload });
      if (hasPayload) this.#open.set(ref.id, block);
      ready.push(...this.#waiting.resolved(ref.id));
    }
  }

  /**
   * Throws `audit_missing_parent` for the lowest block that waits, if any does. The last commit of
   * an epoch leaves the horizon where it is, until a node starts again: that one took blocks whose
   * parents only others could still reach, and what stands on them.
   */
  #assertWhole(): void {
    const { isEnded, state } = this.#orderer;
    const reach = gcRoundAfter(state.last.leaderRound, GC_DEPTH);
    const taken = isEnded ? this.#waiting.horizon(reach) : [];
    for (let one = taken.pop(); one; one = taken.pop()) {
      taken.push(...this.#waiting.resolved(one.ref.id));
    }
    const { first } = this.#waiting;
    if (!first) return;
    const { block, parent } = first;
    fail('audit_missing_parent', 'A parent of a block is not there.', {
      ...block.place,
      block: block.ref.id,
      parent,
    });
  }

  /** Decides what can be decided, and folds it. */
  run(): void {
    this.#runRound = this.#last?.round ?? 0;
    if (this.#isHalted) return;
    try {
      do this.#advance();
      while (this.#release());
    } catch (error) {
      if (!(error instanceof TwoCertificates)) throw error;
      this.#halt(error.slot);
    }
    if (this.#untaken >= FINALS_PER_TAKING) this.take();
  }

  #advance(): void {
    const { lost } = this.#orderer.advance((commit) => {
      this.#apply(commit);
      return this.fold.seats.epoch > this.committee.epoch;
    });
    for (const { id } of lost) this.#open.delete(id);
  }

  /** Adds what waited for blocks that are below the horizon now; returns whether it was any. */
  #release(): boolean {
    const ready = this.#waiting.horizon(this.#orderer.dag.horizon);
    for (const block of ready) this.#add(block);
    return ready.length > 0;
  }

  #halt({ round, author }: Slot): void {
    this.#isHalted = true;
    if (this.#commits >= this.#target.index) return;
    const message = 'Two certified blocks stand in one slot: more validators lie than may.';
    fail('audit_two_certificates', message, { kind: 'commit', round, author });
  }

  #apply(commit: Commit): void {
    const { index, id, leader } = commit;
    if (index > this.#target.index) {
      this.#beyond += 1;
      this.#slotAfter ??= { round: leader.round, author: leader.author };
      for (const ref of commit.blocks) this.#open.delete(ref.id);
      return;
    }
    this.#watcher?.commit(commit);
    const blocks = commit.blocks.map((ref) => ({
      ref,
      entries: this.#open.get(ref.id)?.entries() ?? [],
    }));
    for (const ref of commit.blocks) this.#open.delete(ref.id);
    this.#untaken += this.fold.apply(commit, blocks).length;
    this.#commits = index;
    this.#lastFolded = { index, id, ts_ms: commit.ts_ms, leaderRound: leader.round };
  }

  /** Hands the fold's rows to the watcher and keeps what later events need. */
  take(): void {
    this.#untaken = 0;
    const ops = this.fold.ops({ cursor: undefined, last: this.#lastFolded });
    this.#watcher?.rows(ops);
    this.state.take(ops);
    this.fold.written();
  }

  /** After the last block: compares commit, size and roots with what was reported. */
  finish(reported: Manifest): Summary {
    this.run();
    if (!this.#isHalted) this.#assertWhole();
    this.take();
    const { index, id } = reported.commit;
    if (this.#lastFolded.index !== index) {
      fail('audit_commit_missing', 'The blocks decide fewer commits than the node reported.', {
        kind: 'commit',
        commit: this.#lastFolded.index + 1,
        reported: index,
      });
    }
    if (this.#lastFolded.id !== id) {
      fail('audit_commit_differs', 'The last commit is not the one that the node reported.', {
        kind: 'commit',
        commit: index,
        computed: textOf(this.#lastFolded.id),
        reported: textOf(id),
      });
    }
    const summary = this.fold.summary();
    compareSummaries(summary, reported);
    return summary;
  }
}

/** Throws `audit_state_differs`, naming the first of size, log and states that is not equal. */
export function compareSummaries(computed: Summary, reported: Summary): void {
  const differs = (what: string, ours: string | number, theirs: string | number) => {
    if (ours === theirs) return;
    fail('audit_state_differs', `${what} is not what the log gives.`, {
      kind: 'state',
      part: what,
      computed: ours,
      reported: theirs,
    });
  };
  differs('size', computed.size, reported.size);
  differs('logRoot', computed.logRoot, reported.logRoot);
  differs('projections', computed.projections.length, reported.projections.length);
  for (const [i, { name, version, root }] of computed.projections.entries()) {
    const other = reported.projections[i];
    differs('projections', `${name}/${version}`, `${other?.name}/${other?.version}`);
    differs(`projection ${name}`, root, other?.root ?? '');
  }
  differs('stateRoot', computed.stateRoot, reported.stateRoot);
}
