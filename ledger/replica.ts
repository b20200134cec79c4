import { archiveOps } from './archive.ts';
import type { Block } from './block.ts';
import { BlockQueue } from './block-queue.ts';
import { fail } from './errors.ts';
import type { Entry } from './event.ts';
import type { FinalEvent, Fold } from './fold.ts';
import type { Ref } from './header.ts';
import type { Self } from './held-keys.ts';
import { Inbox } from './inbox.ts';
import { storeKeys } from './keys.ts';
import type { Chain } from './chain.ts';
import type { ClockGuard } from './clock-guard.ts';
import type { Committee } from './committee.ts';
import { EpochRun } from './epoch-run.ts';
import type { Epochs, EpochStart } from './epochs.ts';
import { returnEvents } from './epoch-turn.ts';
import { Orderer } from './orderer.ts';
import { OverdueTimer } from './overdue.ts';
import { encodeOwnLast } from './own-last.ts';
import { OwnSeat } from './own-seat.ts';
import type { Pending, Pool } from './pool.ts';
import type { Id, StoreOp } from './ports.ts';
import type { Pace } from './propose.ts';
import { noCounters } from './replica-ports.ts';
import type { ReplicaHost, ReplicaPorts, Restored } from './replica-ports.ts';
import type { RoundClock } from './round-clock.ts';
import { Sealer } from './sealer.ts';
import { TwoCertificates } from './rule.ts';
import type { Slot } from './rule.ts';
import { StoredKeys } from './stored-keys.ts';
import { Turns } from './turns.ts';
import type { WaitingBlocks } from './waiting.ts';
import type { Twins } from './witness.ts';

/** More blocks than this in one turn would delay proposals. */
const BLOCKS_PER_TURN = 128;
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
  readonly #self: Self;
  // the ledger; replaced as a whole by `reload` only
  fold: Fold;
  pool: Pool;
  epochs: Epochs;
  #run: EpochRun;
  #reloading: (() => Promise<Restored>) | undefined;
  #isReloading = false;
  /** The certified start of the next epoch, to be entered in the next turn. */
  #entering: EpochStart | undefined;
  readonly #storedKeys: StoredKeys;
  /** Blocks that this turn's commits ordered. */
  readonly #ordered: Pick<Block, 'ref' | 'entries'>[] = [];
  /** Equivocations that this turn brought. */
  readonly #twins: Twins[] = [];
  readonly #sealer: Sealer;
  readonly #overdue: OverdueTimer;
  // turns
  readonly #inbox = new Inbox();
  readonly #offered = new BlockQueue();
  readonly #turns: Turns;
  #alarm: Slot | undefined;
  #isHalted = false;
  #wantsIdleCut = false;
  #isSealing = false;
  readonly #seat: OwnSeat;
  readonly counters = noCounters();

  constructor(
    chain: Chain,
    ports: ReplicaPorts,
    host: ReplicaHost,
    pace: Pace,
    self: Self,
    restored: Restored,
  ) {
    this.#chain = chain;
    this.#ports = ports;
    this.#host = host;
    this.#self = self;
    this.#storedKeys = new StoredKeys(ports.store);
    this.fold = restored.fold;
    this.pool = restored.pool;
    this.epochs = restored.epochs;
    this.#run = EpochRun.restored(restored, this.#self.actor, this.#now_ms());
    this.#turns = new Turns(
      () => this.#oneTurn(),
      (error) => {
        this.#inbox.refuse('store_failed', 'The node cannot write and has stopped.');
        this.#host.failed(error);
      },
    );
    this.#seat = new OwnSeat(self, () => this.#run, restored.hasForgotten, ports);
    this.#overdue = new OverdueTimer(ports.clock, () => this.wake());
    this.#sealer = new Sealer(chain.id, pace, ports.clock, {
      maySeal: () => this.#seat.clockGuard?.maySeal() ?? false,
      isConnected: (actor) => this.#host.isConnected(actor),
      wake: () => this.wake(),
    });
  }

  /** The committee of the present epoch. */
  get committee(): Committee {
    return this.#run.committee;
  }

  get orderer(): Orderer {
    return this.#run.orderer;
  }

  get roundClock(): RoundClock {
    return this.#run.roundClock;
  }

  get waiting(): WaitingBlocks {
    return this.#run.waiting;
  }

  /** None for a node that never sat in a committee since its start. */
  get clockGuard(): ClockGuard | undefined {
    return this.#seat.clockGuard;
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
    const stopped = this.#turns.stop();
    this.#sealer.stop();
    this.#overdue.stop();
    await stopped;
    this.#inbox.refuse('stopping', 'The node is stopping: send to another one.');
  }

  /** Set when two certified blocks stand in one slot: finality is halted, accepting goes on. */
  get alarm(): Slot | undefined {
    return this.#alarm;
  }

  /**
   * Makes nothing final any more, seals nothing, takes no blocks, and goes on accepting events. For
   * good: until a restart at least.
   */
  haltFinality(): void {
    this.#isHalted = true;
  }

  /** Whether nothing becomes final here any more, for `alarm` or by `haltFinality`. */
  get isHalted(): boolean {
    return this.#isHalted || this.#alarm !== undefined;
  }

  /** Cuts a checkpoint where the log stands, in a turn of its own. */
  cutIdle(): void {
    this.#wantsIdleCut = true;
    this.wake();
  }

  /**
   * Whether own blocks exist that this node does not remember. It follows, and seals nothing in
   * this epoch.
   */
  get hasForgotten(): boolean {
    return this.#seat.memory.isLost;
  }

  /**
   * Whether its own events find no way into final blocks: it seals none, is not linked to a quorum,
   * or has sealed none for long although some wait. A validator that is merely busy is not stuck:
   * telling others of its events then would make all of them busier.
   */
  get isStuck(): boolean {
    if (this.author === undefined || this.isHalted) return true;
    if (this.#now_ms() - this.#sealer.last_ms > STUCK_MS) return true;
    return !this.#run.reachesQuorum((actor) => this.#host.isConnected(actor));
  }

  /** The own index in the committee; none for one that only follows in this epoch. */
  get author(): number | undefined {
    return this.#seat.author;
  }

  /** Whether it has a seat in this epoch, but not the key that the committee names for it. */
  get lacksKey(): boolean {
    return this.#seat.lacksKey;
  }

  /** Whether it sits in the committee, also where it only follows. */
  get hasSeat(): boolean {
    return this.#seat.isThere;
  }

  /** The last own block of this epoch. */
  get last(): Ref | undefined {
    return this.#run.last;
  }

  /** Forgets others' events that can come to nothing any more, in the next turn. */
  discard(ids: readonly Id[]): void {
    this.#inbox.discard(ids);
    this.wake();
  }

  /**
   * Enters the next epoch in the next turn, once this one has ended here. The caller has verified
   * the certificate. Calls that come late or twice change nothing.
   */
  enter(start: EpochStart): void {
    this.#entering = start;
    this.wake();
  }

  /**
   * Replaces all that it holds by what `load` finds in the store, in the next turn: a snapshot is
   * put there. What open blocks carried comes with the tail.
   */
  reload(load: () => Promise<Restored>): Promise<void> {
    this.#reloading = load;
    this.wake();
    return this.settled();
  }

  async #reload(load: () => Promise<Restored>): Promise<void> {
    this.#reloading = undefined;
    const restored = await load();
    ({ fold: this.fold, pool: this.pool, epochs: this.epochs } = restored);
    this.#run = EpochRun.restored(restored, this.#self.actor, this.#now_ms());
    this.#seat.memory.takeOver(restored.hasForgotten);
    this.#seat.entered();
  }

  /** The block that carries an event which is not final. */
  carrierOf(id: Id): Ref | undefined {
    return this.#run.payloads.carrierOf(id);
  }

  /** Accepted blocks with payload that are not ordered. */
  get unordered(): Iterable<Block> {
    return this.#run.payloads.values();
  }

  /** Whether a block is held, waits, or is out of reach. */
  isKnown(ref: Ref): boolean {
    return this.#run.isKnown(ref);
  }

  /** Bytes of blocks that wait for the next turn. */
  get backlogBytes(): number {
    return this.#offered.bytes;
  }

  /**
   * Resolves when all that the fold holds now is written: before, a crash may undo it, where it
   * rests on an own block that nobody else has. Rejects where it could not be written. What is
   * reloaded was written before.
   */
  async written(): Promise<void> {
    if (!this.#isReloading) await this.#turns.over();
  }

  /** Resolves when no turn is under way. */
  settled(): Promise<void> {
    return this.#turns.settled();
  }

  /** Takes a block whose signatures were verified. */
  offer(block: Block, from: string | undefined): void {
    if (this.#turns.isStopped) return;
    this.#offered.push(block, from);
    this.wake();
  }

  /** Throws `stopping` or the pool's codes where `submit` would now refuse this entry. */
  assertRoom(entry: Pick<Entry, 'event' | 'bytes'>): void {
    if (this.#turns.isStopped) fail('stopping', 'The node is stopping: send to another one.');
    this.pool.assertRoom(entry);
  }

  /**
   * Takes a verified event into the pool. Resolves once it is kept (or at once in the next turn
   * where `isDurable` is false: nothing may be acknowledged then before it is final). Rejects with
   * the pool's codes or `stopping`.
   */
  submit(pending: Pending, isDurable: boolean): Promise<void> {
    if (this.#turns.isStopped) fail('stopping', 'The node is stopping: send to another one.');
    const done = this.#inbox.push(pending, isDurable);
    this.wake();
    return done;
  }

  /** Starts a turn unless one is under way, which another then follows. */
  wake(): void {
    this.#turns.wake();
  }

  async #oneTurn(): Promise<void> {
    this.counters.turns += 1;
    // what it waited for is looked at now
    this.#sealer.stop();
    const ops: StoreOp[] = [];
    if (this.#reloading) {
      this.#isReloading = true;
      await this.#reload(this.#reloading);
      this.#isReloading = false;
    }
    const hadEnded = this.orderer.isEnded;
    const hasEntered = await this.#enter(ops);
    this.#run.releaseOverdue(this.#now_ms());
    this.#inbox.take(ops, this, this.#run.payloads, (id) => this.#storedKeys.has(id));
    this.#takeBlocks(ops);
    const finals: FinalEvent[] = [];
    this.#order(ops, finals);
    const sealed = await this.#seal(ops);
    if (sealed) this.#order(ops, finals);
    const isIdle = finals.length === 0 && !this.isHalted;
    if (this.#wantsIdleCut && isIdle) ops.push(...this.fold.cutIdle());
    this.#wantsIdleCut = false;
    if (ops.length > 0) {
      const sync = sealed !== undefined || hasEntered || this.#inbox.isDurable;
      await this.#ports.store.write(ops, { sync });
      this.fold.written();
      for (const block of this.#ordered.splice(0)) this.#run.payloads.forget(block);
    }
    this.#inbox.written();
    if (!this.#turns.isStopped) this.#overdue.arm(this.#run.payloads.nextOverdue_ms);
    if (sealed) this.#host.publish(sealed);
    if (finals.length > 0) this.#host.finals(finals);
    if (this.#isPaused) this.wake();
    const cuts = this.fold.cuts.take();
    if (cuts.length > 0) this.#host.cut(cuts);
    this.#host.stands();
    for (const twins of this.#twins.splice(0)) this.#host.equivocated(twins);
    if (hasEntered) this.#host.entered();
    if (this.orderer.isEnded && (hasEntered || !hadEnded)) this.#host.ended();
    if (sealed || !this.#offered.isEmpty || !this.#inbox.isEmpty) this.wake();
  }

  /**
   * The way from an ended epoch into the next: its start and the orderer's new state are written
   * together, so that a node is in one epoch or the other. Returns whether it was taken.
   */
  async #enter(ops: StoreOp[]): Promise<boolean> {
    const start = this.#entering;
    const { orderer, payloads } = this.#run;
    if (!start || !orderer.isEnded) return false;
    this.#entering = undefined;
    const { committee } = start;
    if (committee.epoch !== this.committee.epoch + 1) return false;
    const last = { ...orderer.state.last, leaderRound: 0 };
    const next = new Orderer(this.#chain.id, committee, last.ts_ms, { cursor: undefined, last });
    const blocks = payloads.drain();
    const before = this.committee;
    if (this.hasForgotten && this.#host.mayReturn()) this.#seat.memory.regain(ops);
    this.#run = new EpochRun(next, this.pool, this.#self.actor, this.#now_ms());
    this.#seat.entered();
    ops.push(this.epochs.enter(start), ...this.fold.ops(next.state));
    const parts = { fold: this.fold, pool: this.pool, self: this.#self };
    const due_ms = (id: Id) => this.#host.dueTime_ms(id);
    const hasKey = (id: Id) => this.#storedKeys.has(id);
    const { author } = this;
    const ownKey = author === undefined ? undefined : committee.keyIdAt(author);
    const returned = await returnEvents(blocks, before, ownKey, parts, due_ms, hasKey);
    for (const op of returned) ops.push(op);
    const { epoch, size: n } = committee;
    this.#ports.log.info({ epoch, n, author: this.#run.self }, 'a new epoch begins');
    return true;
  }

  #takeBlocks(ops: StoreOp[]): void {
    for (const { block, from } of this.#offered.take(BLOCKS_PER_TURN)) {
      // what is not ordered here any more would only pile up
      if (this.isHalted || block.header.epoch !== this.committee.epoch) continue;
      if (this.isKnown(block.ref)) continue;
      // up to the last own block nothing is signed again, whether it is held or not
      const isNewOwn = block.ref.round > (this.last?.round ?? 0);
      const isUnknownOwn = block.ref.author === this.#run.self && isNewOwn;
      if (isUnknownOwn && this.#seat.memory.lose(block.ref, ops)) this.#host.forgot();
      const missing = this.orderer.dag.missing(block.header.parents);
      this.#accept(block, ops);
      if (missing.length > 0) this.#host.fetch(missing, from);
    }
  }

  /** Takes a block into the run, and keeps what the run accepts now. */
  #accept(first: Block, ops: StoreOp[]): void {
    for (const block of this.#run.accept(first, this.#now_ms())) {
      this.counters.blocksAccepted += 1;
      ops.push(...archiveOps(block, (id) => this.#storedKeys.has(id)));
      const twins = this.#run.newTwins(block.ref);
      if (!twins) continue;
      this.#twins.push(twins);
      this.counters.equivocations += 1;
      const { author, round } = twins;
      this.#ports.log.warn({ author, round }, 'a validator signed two blocks for one slot');
    }
  }

  /** Whether commits wait for the next turn, since somebody wants the state of a cut. */
  get #isPaused(): boolean {
    return this.fold.cuts.hasFresh && this.#host.wantsState();
  }

  /** Runs the commit rule and folds the new commits; adds what that makes final. */
  #order(ops: StoreOp[], finals: FinalEvent[]): void {
    if (this.isHalted || this.#isPaused) return;
    const before = finals.length;
    try {
      const { commits, lost } = this.orderer.advance((commit) => {
        const open = (ref: Ref) => this.#run.payloads.get(ref.id) ?? { ref, entries: [] };
        const blocks = commit.blocks.map(open);
        // one by one: a call takes no more than some 100,000 arguments
        for (const final of this.fold.apply(commit, blocks)) finals.push(final);
        for (const block of blocks) {
          for (const { id } of block.entries) {
            if (this.pool.get(id)) ops.push({ type: 'del', key: storeKeys.pending(id) });
          }
          this.#ordered.push(block);
        }
        return this.fold.seats.epoch > this.committee.epoch;
      }, () => this.#isPaused);
      for (const { id } of lost) this.#run.payloads.release(id, this.#run.self);
      if (commits.length > 0) {
        this.counters.commits += commits.length;
        this.counters.finals += finals.length - before;
        for (const op of this.fold.ops(this.orderer.state)) ops.push(op);
        for (const block of this.waiting.horizon(this.orderer.dag.horizon)) {
          this.offer(block, undefined);
        }
      }
    } catch (error) {
      if (!(error instanceof TwoCertificates)) throw error;
      this.#alarm = error.slot;
      this.#ports.log.error(error.slot, 'finality is halted: two certified blocks in one slot');
    }
  }

  async #seal(ops: StoreOp[]): Promise<Block | undefined> {
    if (!this.#isSealing || this.isHalted || this.hasForgotten) return undefined;
    const { key } = this.#seat;
    if (!key || !this.#host.maySeal()) return undefined;
    const block = await this.#sealer.seal(this.#run, this.pool, key.signer);
    if (!block) return undefined;
    const value = encodeOwnLast({ epoch: this.committee.epoch, ref: block.ref });
    ops.push({ type: 'put', key: storeKeys.ownLast, value });
    this.counters.blocksSealed += 1;
    this.#accept(block, ops);
    return block;
  }
}
