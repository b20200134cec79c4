import { archiveOps } from './archive.ts';
import { keysFor, sealBlock } from './block.ts';
import type { Block } from './block.ts';
import { fail, X0tError } from './errors.ts';
import type { FinalEvent, Fold } from './fold.ts';
import type { Ref } from './header.ts';
import { encodeRef } from './header.ts';
import { storeKeys } from './keys.ts';
import { encode } from './codec.ts';
import { Lateness } from './lateness.ts';
import type { Chain } from './chain.ts';
import { ClockGuard } from './clock-guard.ts';
import { OpenPayloads } from './open-payloads.ts';
import type { Orderer } from './orderer.ts';
import { pickPayload } from './payload.ts';
import type { Pending, Pool } from './pool.ts';
import { pendingOps } from './pool-store.ts';
import type { Id, StoreOp } from './ports.ts';
import { propose } from './propose.ts';
import type { Pace, Situation } from './propose.ts';
import type {
  Author,
  Offered,
  ReplicaCounters,
  ReplicaHost,
  ReplicaPorts,
  Restored,
  Submission,
} from './replica-ports.ts';
import { RoundClock } from './round-clock.ts';
import { TwoCertificates } from './rule.ts';
import type { Slot } from './rule.ts';
import { StoredKeys } from './stored-keys.ts';
import { WaitingBlocks } from './waiting.ts';

/** More blocks than this in one turn would delay proposals. */
const BLOCKS_PER_TURN = 128;
const SUBMISSIONS_PER_TURN = 1024;
/** Without an own block for so long a node with waiting events is stuck, whatever its links say. */
const STUCK_MS = 10_000;

/**
 * One replica of the log: takes verified blocks and events, orders, seals, and keeps everything in
 * the store. It works in turns: a turn takes what has come, decides, writes one batch, and only
 * then lets anything be seen, so a block is in the store before it is sent and an event before it
 * is acknowledged. Turns never overlap; state is read between them.
 */
export class Replica {
  // decided by others, read here
  readonly #chain: Chain;
  readonly #ports: ReplicaPorts;
  readonly #host: ReplicaHost;
  readonly #pace: Pace;
  readonly #author: Author | undefined;
  // the ledger
  readonly fold: Fold;
  readonly orderer: Orderer;
  readonly pool: Pool;
  readonly roundClock: RoundClock;
  readonly waiting = new WaitingBlocks();
  /** Accepted blocks with payload that are not ordered, and the events in them. */
  readonly #payloads: OpenPayloads;
  readonly #storedKeys: StoredKeys;
  /** Blocks that this turn's commits ordered. */
  readonly #ordered: Pick<Block, 'ref' | 'entries'>[] = [];
  // sealing
  #last: Ref | undefined;
  #lastSeal_ms = Number.NEGATIVE_INFINITY;
  readonly #lateness = new Lateness();
  readonly #referenced = new Map<number, number>();
  // turns
  #submissions: Submission[] = [];
  /** Those of the turn under way. */
  #accepting: readonly Submission[] = [];
  #offered: Offered[] = [];
  #offeredBytes = 0;
  #turn: Promise<void> | undefined;
  #isStopped = false;
  #cancelTimer: (() => void) | undefined;
  #cancelOverdue: (() => void) | undefined;
  #alarm: Slot | undefined;
  #isSealing = false;
  /**
   * A peer has an own block that this store does not know: it was lost or rolled back (consensus.md
   * 2.12).
   */
  #hasForgotten = false;
  readonly clockGuard: ClockGuard | undefined;
  readonly counters: ReplicaCounters = {
    blocksAccepted: 0,
    blocksSealed: 0,
    commits: 0,
    finals: 0,
    equivocations: 0,
    turns: 0,
  };

  constructor(
    chain: Chain,
    ports: ReplicaPorts,
    host: ReplicaHost,
    pace: Pace,
    author: Author | undefined,
    restored: Restored,
  ) {
    this.#chain = chain;
    this.#ports = ports;
    this.#host = host;
    this.#pace = pace;
    this.#author = author;
    this.#storedKeys = new StoredKeys(ports.store);
    this.fold = restored.fold;
    this.orderer = restored.orderer;
    this.pool = restored.pool;
    this.#payloads = new OpenPayloads(this.pool);
    const { committee } = chain;
    const start = Math.max(0, this.orderer.dag.horizon);
    this.roundClock = new RoundClock(committee, (index) => committee.at(index).stake, start);
    for (let round = start; round <= this.orderer.dag.top; round++) this.#addToClock(round);
    for (const block of restored.blocks) this.#note(block);
    this.clockGuard = author && new ClockGuard(ports.clock, committee, author.index, ports.log);
    this.#hasForgotten = restored.hasForgotten;
    if (author) this.#last = restored.ownLast ?? this.orderer.dag.slot(0, author.index)[0];
  }

  #addToClock(round: number): void {
    for (const author of this.orderer.dag.authors(round)) {
      this.roundClock.add(round, author, this.#now_ms());
    }
  }

  #now_ms(): number {
    return this.#ports.clock.monotonic_ms();
  }

  /** Lets it seal; until then it only follows. Called when peers can be reached. */
  start(): void {
    this.#isSealing = true;
    this.wake();
  }

  /**
   * Ends after the turn under way. What waits for an acknowledgement is refused with `stopping`.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer?.();
    this.#cancelOverdue?.();
    await this.#turn;
    this.#refuseAll('stopping', 'The node is stopping: send to another one.');
  }

  /** Set when two certified blocks stand in one slot: finality is halted, accepting goes on. */
  get alarm(): Slot | undefined {
    return this.#alarm;
  }

  /**
   * Whether own blocks exist that this node does not remember. It follows, and seals nothing in
   * this epoch.
   */
  get hasForgotten(): boolean {
    return this.#hasForgotten;
  }

  /**
   * Whether its own events find no way into final blocks: it seals none, is not linked to a quorum,
   * or has sealed none for long although some wait. A validator that is merely busy is not stuck:
   * telling others of its events then would make all of them busier.
   */
  get isStuck(): boolean {
    if (!this.#author || this.#hasForgotten) return true;
    if (this.#now_ms() - this.#lastSeal_ms > STUCK_MS) return true;
    const { committee } = this.#chain;
    const linked = committee.validators.keys().filter((author) => this.#host.isConnected(author));
    return committee.stakeOf(new Set([this.#author.index, ...linked])) < committee.quorum;
  }

  /** The own index in the committee; none for an observer. */
  get author(): number | undefined {
    return this.#author?.index;
  }

  /** The last own block. */
  get last(): Ref | undefined {
    return this.#last;
  }

  /** The block that carries an event which is not final. */
  carrierOf(id: Id): Ref | undefined {
    return this.#payloads.carrierOf(id);
  }

  /** Accepted blocks with payload that are not ordered. */
  get unordered(): Iterable<Block> {
    return this.#payloads.values();
  }

  /** Whether a block is held, waits, or is out of reach. */
  isKnown({ id, round }: Ref): boolean {
    return (
      round <= this.orderer.dag.horizon ||
      this.orderer.dag.get(id) !== undefined ||
      this.waiting.has(id)
    );
  }

  /** Bytes of blocks that wait for the next turn. */
  get backlogBytes(): number {
    return this.#offeredBytes;
  }

  /** Resolves when no turn is under way. */
  async settled(): Promise<void> {
    while (this.#turn) await this.#turn;
  }

  /** Takes a block whose signatures were verified. */
  offer(block: Block, from: string | undefined): void {
    if (this.#isStopped) return;
    this.#offered.push({ block, from });
    this.#offeredBytes += block.bytes;
    this.wake();
  }

  /**
   * Takes a verified event into the pool. Resolves once it is kept (or at once in the next turn
   * where `isDurable` is false: nothing may be acknowledged then before it is final). Rejects with
   * the pool's codes or `stopping`.
   */
  submit(pending: Pending, isDurable: boolean): Promise<void> {
    if (this.#isStopped) fail('stopping', 'The node is stopping: send to another one.');
    return new Promise((resolve, reject) => {
      this.#submissions.push({ pending, isDurable, resolve, reject });
      this.wake();
    });
  }

  /** Starts a turn unless one is under way, which then goes on for another round. */
  wake(): void {
    this.#isWoken = true;
    if (this.#isInTurn || this.#isStopped) return;
    // set before the turn begins, since it may wake itself before its promise is there
    this.#isInTurn = true;
    this.#cancelTimer?.();
    this.#turn = this.#turns().finally(() => {
      this.#isInTurn = false;
      this.#turn = undefined;
      if (this.#isWoken) this.wake();
    });
  }
  #isWoken = false;
  #isInTurn = false;

  async #turns(): Promise<void> {
    try {
      while (this.#isWoken && !this.#isStopped) {
        this.#isWoken = false;
        await this.#oneTurn();
      }
    } catch (error) {
      this.#isStopped = true;
      this.#refuseAll('store_failed', 'The node cannot write and has stopped.');
      this.#host.failed(error);
    }
  }

  async #oneTurn(): Promise<void> {
    this.counters.turns += 1;
    const ops: StoreOp[] = [];
    this.#payloads.releaseOverdue(this.#now_ms());
    this.#awaitOverdue();
    const accepted = this.#takeSubmissions(ops);
    this.#accepting = accepted;
    this.#takeBlocks(ops);
    const finals = this.#order(ops);
    const sealed = await this.#seal(ops);
    if (sealed) finals.push(...this.#order(ops));
    if (ops.length > 0) {
      const sync = sealed !== undefined || accepted.some(({ isDurable }) => isDurable);
      await this.#ports.store.write(ops, { sync });
      this.fold.written();
      for (const block of this.#ordered.splice(0)) this.#payloads.forget(block);
    }
    this.#accepting = [];
    for (const { resolve } of accepted) resolve();
    if (sealed) this.#host.publish(sealed);
    if (finals.length > 0) this.#host.finals(finals);
    if (sealed || this.#offered.length > 0 || this.#submissions.length > 0) this.#isWoken = true;
  }

  #takeSubmissions(ops: StoreOp[]): Submission[] {
    const accepted: Submission[] = [];
    for (const submission of this.#submissions.splice(0, SUBMISSIONS_PER_TURN)) {
      const { pending, isDurable, reject } = submission;
      const { id } = pending.entry;
      try {
        if (this.fold.isFinal(id) || !this.pool.add(pending)) {
          // known, but perhaps since this turn: acknowledged after the write all the same
          accepted.push({ ...submission, isDurable: false });
          continue;
        }
        if (this.#payloads.carrierOf(id)) this.pool.carried(id);
        if (isDurable) ops.push(...pendingOps(pending, (key) => this.#storedKeys.has(key)));
        accepted.push(submission);
      } catch (error) {
        reject(error);
      }
    }
    return accepted;
  }

  #takeBlocks(ops: StoreOp[]): void {
    for (const { block, from } of this.#offered.splice(0, BLOCKS_PER_TURN)) {
      this.#offeredBytes -= block.bytes;
      if (this.isKnown(block.ref)) continue;
      if (block.ref.author === this.#author?.index) this.#noteForgotten(block.ref, ops);
      const missing = this.orderer.dag.missing(block.header.parents);
      if (missing.length === 0) {
        this.#acceptWithChildren(block, ops);
        continue;
      }
      this.waiting.add(block, missing);
      this.#host.fetch(missing, from);
    }
  }

  /** Kept in the store: a later start must know it too. */
  #noteForgotten(ref: Ref, ops: StoreOp[]): void {
    if (this.#hasForgotten) return;
    this.#hasForgotten = true;
    ops.push({ type: 'put', key: storeKeys.lost, value: Uint8Array.of(1) });
    this.#ports.log.error(
      ref,
      'peers hold an own block that this store has lost: this node only follows now',
    );
  }

  #acceptWithChildren(first: Block, ops: StoreOp[]): void {
    const ready = [first];
    for (let block = ready.pop(); block; block = ready.pop()) {
      const { ref, header } = block;
      if (ref.round <= this.orderer.dag.horizon || this.orderer.dag.get(ref.id)) continue;
      const missing = this.orderer.dag.missing(header.parents);
      if (missing.length > 0) this.waiting.add(block, missing);
      else {
        this.#accept(block, ops);
        ready.push(...this.waiting.resolved(ref.id));
      }
    }
  }

  #accept(block: Block, ops: StoreOp[]): void {
    const { ref, header, entries } = block;
    const { dag } = this.orderer;
    this.orderer.accept({
      ...ref,
      parents: header.parents,
      ts_ms: header.ts_ms,
      hasPayload: entries.length > 0,
    });
    this.roundClock.add(ref.round, ref.author, this.#now_ms());
    this.counters.blocksAccepted += 1;
    if (dag.slot(ref.round, ref.author).length === 2) {
      this.counters.equivocations += 1;
      this.#ports.log.warn(
        { author: ref.author, round: ref.round },
        'a validator signed two blocks for one slot',
      );
    }
    ops.push(...archiveOps(block, (id) => this.#storedKeys.has(id)));
    this.#note(block);
  }

  /** Keeps the payload of an accepted block at hand until it is ordered. */
  #note(block: Block): void {
    if (this.orderer.isOrdered(block.ref.id)) return;
    this.#payloads.add(block, this.#now_ms());
    this.#awaitOverdue();
  }

  /** Looks again when the oldest open payload is overdue, also where nothing else happens. */
  #awaitOverdue(): void {
    const at_ms = this.#payloads.nextOverdue_ms;
    if (this.#cancelOverdue || at_ms === undefined || this.#isStopped) return;
    const delay_ms = Math.max(0, at_ms - this.#now_ms());
    this.#cancelOverdue = this.#ports.clock.after(delay_ms, () => {
      this.#cancelOverdue = undefined;
      this.wake();
    });
  }

  /** Runs the commit rule and folds the new commits. */
  #order(ops: StoreOp[]): FinalEvent[] {
    if (this.#alarm) return [];
    const finals: FinalEvent[] = [];
    try {
      const { commits, lost } = this.orderer.advance();
      for (const commit of commits) {
        const blocks = commit.blocks.map(
          (ref) => this.#payloads.get(ref.id) ?? { ref, entries: [] },
        );
        finals.push(...this.fold.apply(commit, blocks));
        for (const block of blocks) {
          for (const { id } of block.entries) {
            if (this.pool.get(id)) ops.push({ type: 'del', key: storeKeys.pending(id) });
          }
          this.#ordered.push(block);
        }
      }
      for (const { id } of lost) this.#payloads.release(id, this.#author?.index);
      if (commits.length > 0) {
        this.counters.commits += commits.length;
        this.counters.finals += finals.length;
        ops.push(...this.fold.ops(this.orderer.state));
        for (const block of this.waiting.horizon(this.orderer.dag.horizon)) {
          this.offer(block, undefined);
        }
      }
    } catch (error) {
      if (!(error instanceof TwoCertificates)) throw error;
      this.#alarm = error.slot;
      this.#ports.log.error(
        { slot: error.slot },
        'finality is halted: two certified blocks in one slot',
      );
    }
    return finals;
  }

  async #seal(ops: StoreOp[]): Promise<Block | undefined> {
    const author = this.#author;
    if (!author || !this.#isSealing || !this.#last) return undefined;
    if (this.#hasForgotten || !this.#host.maySeal()) return undefined;
    const now_ms = this.#now_ms();
    const proposal = propose(this.#situation(author, this.#last, now_ms), this.#pace, now_ms);
    this.#arm(proposal.type === 'wait' ? proposal.until_ms : undefined, now_ms);
    if (proposal.type !== 'seal' || !this.clockGuard?.maySeal()) return undefined;
    this.#lateness.woke(now_ms);
    const { committee, id: chain } = this.#chain;
    const { entries, keys } = pickPayload(this.pool.ready(now_ms), author.index, committee);
    const { last } = this.orderer.state;
    const draft = {
      chain,
      epoch: committee.epoch,
      committee: committee.id,
      round: proposal.round,
      author: author.index,
      ts_ms: this.#ports.clock.wall_ms(),
      parents: proposal.parents,
      ...(last.index > 0 && { vote: { index: last.index, id: last.id } }),
    };
    const table = keysFor(entries, author.index, committee, (id) => keys.get(id));
    const block = await sealBlock(draft, entries, table, author.signer);
    this.#lastSeal_ms = now_ms;
    this.#last = block.ref;
    for (const parent of proposal.parents) this.#referenced.set(parent.author, parent.round);
    ops.push({ type: 'put', key: storeKeys.ownLast, value: encode(encodeRef(block.ref)) });
    this.counters.blocksSealed += 1;
    this.#acceptWithChildren(block, ops);
    return block;
  }

  #situation(author: Author, last: Ref, now_ms: number): Situation {
    const hasOwn = this.pool.ownWaiting > 0;
    const due_ms = hasOwn ? undefined : this.pool.nextDue_ms();
    return {
      orderer: this.orderer,
      committee: this.#chain.committee,
      self: author.index,
      clockRound: this.roundClock.round,
      entered_ms: this.roundClock.entered_ms,
      last,
      lastSeal_ms: this.#lastSeal_ms,
      lateness_ms: this.#lateness.smoothed_ms,
      referenced: this.#referenced,
      hasPayload: hasOwn || (due_ms !== undefined && due_ms <= now_ms),
      isConnected: (index) => this.#host.isConnected(index),
    };
  }

  /** The next turn comes at the latest at `until_ms`, or when another's pending event is due. */
  #arm(until_ms: number | undefined, now_ms: number): void {
    this.#cancelTimer?.();
    if (until_ms !== undefined) this.#lateness.waits(until_ms);
    const due_ms = this.pool.nextDue_ms();
    const times = [until_ms, due_ms !== undefined && due_ms > now_ms ? due_ms : undefined];
    const next_ms = Math.min(...times.filter((time) => time !== undefined));
    if (!Number.isFinite(next_ms)) return;
    this.#cancelTimer = this.#ports.clock.after(Math.max(0, next_ms - now_ms), () => this.wake());
  }

  #refuseAll(code: string, message: string): void {
    const error = new X0tError(code, message);
    for (const { reject } of [...this.#accepting, ...this.#submissions.splice(0)]) reject(error);
  }
}
