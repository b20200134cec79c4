import type { EpochGate } from '#ledger/epoch-gate.ts';
import { codeOf, fail } from '#ledger/errors.ts';
import type { BlockIntake } from '#ledger/intake.ts';
import { BLOCK_BYTES_MAX, COMMITTEE_MAX, GC_DEPTH } from '#ledger/limits.ts';
import type { Clock, Entropy, Log, Network, PeerName } from '#ledger/ports.ts';
import type { Replica } from '#ledger/replica.ts';
import { Checks } from './checks.ts';
import * as messages from './messages.ts';
import type { Frontier, PoolItem, RangeRequest } from './messages.ts';
import { Progress } from './progress.ts';
import { RollCall } from './roll-call.ts';
import { ANSWER_BYTES_MAX } from './server.ts';
import type { SyncServer } from './server.ts';
import type { SnapshotProgress, SnapshotSync } from './snapshot-sync.ts';
import { WayUp } from './way-up.ts';
import type { SyncMode } from './way-up.ts';

const TIMEOUT_MS = 15_000;
/** Further behind than this, blocks are taken by commits instead of by rounds. */
const BEHIND_ROUNDS = GC_DEPTH / 2;
/** Blocks asked for at once: of maximal size they fill an answer. */
const ABSENT_MAX = ANSWER_BYTES_MAX / BLOCK_BYTES_MAX;
/** Blocks that decide the end of an epoch and that no commit has ordered: a few rounds of all. */
const TAIL_MAX = COMMITTEE_MAX * GC_DEPTH;
/** A peer is asked at most so often, whatever its own requests suggest. */
const AGAIN_MS = 200;

/** How far this node is behind, for status and progress displays. */
export interface CatchUp {
  /** The highest commit index that a peer has told. */
  readonly target: number;
  readonly isRunning: boolean;
  /** Set while a snapshot is fetched. */
  readonly snapshot: SnapshotProgress | undefined;
}

/**
 * Anti-entropy (consensus.md 2.11): on connecting and again and again two nodes tell each other
 * what they hold and take what they lack. A quiescent network sends no later block that would show
 * a gap, so liveness needs this.
 */
export class AntiEntropy {
  readonly #replica: Replica;
  readonly #intake: BlockIntake;
  readonly #server: SyncServer;
  readonly #gate: Pick<EpochGate, 'take'>;
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #log: Log;
  readonly #take: (items: readonly PoolItem[], from: PeerName) => Promise<void>;
  readonly #period_ms: number;
  readonly #wayUp: WayUp;
  readonly #busy = new Set<PeerName>();
  readonly #asked_ms = new Map<PeerName, number>();
  #cancel: (() => void) | undefined;
  #isStopped = false;
  /** The catch-up under way: a stalled one is left to itself when another peer takes over. */
  #catchingUp: object | undefined;
  readonly #progress: Progress;
  readonly #rollCall: RollCall;
  #target = 0;
  exchanges = 0;

  constructor(
    parts: {
      replica: Replica;
      intake: BlockIntake;
      server: SyncServer;
      gate: Pick<EpochGate, 'take'>;
      network: Network;
      snapshots: Pick<SnapshotSync, 'run' | 'isRunning' | 'progress'>;
    },
    ports: { clock: Clock; entropy: Entropy; log: Log },
    take: (items: readonly PoolItem[], from: PeerName) => Promise<void>,
    { antiEntropy_ms, sync }: { readonly antiEntropy_ms: number; readonly sync: SyncMode },
  ) {
    this.#replica = parts.replica;
    this.#intake = parts.intake;
    this.#server = parts.server;
    this.#gate = parts.gate;
    this.#network = parts.network;
    this.#clock = ports.clock;
    this.#entropy = ports.entropy;
    this.#log = ports.log;
    this.#take = take;
    this.#period_ms = antiEntropy_ms;
    this.#wayUp = new WayUp(parts.snapshots, parts.network, ports.clock, sync);
    const { replica } = parts;
    this.#rollCall = new RollCall(replica, parts.network, ports.clock);
    this.#progress = new Progress(
      ports.clock,
      () => replica.counters.blocksAccepted,
      () => replica.wake(),
    );
  }

  start(): void {
    this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#progress.end();
    this.#rollCall.stop();
  }

  /** Whether peers have told in this epoch what they hold, and nothing old is being fetched. */
  get isInStep(): boolean {
    // while offers are asked for, nothing but a peer's word says that this node is behind
    if (this.#wayUp.progress) return false;
    return this.#rollCall.isOver && !this.#progress.isMoving;
  }

  get catchUp(): CatchUp {
    const { isFetching, progress: snapshot } = this.#wayUp;
    const isBehind = this.#catchingUp !== undefined || isFetching;
    return { target: this.#target, isRunning: isBehind, snapshot };
  }

  /** One random peer after a random half to one and a half periods. */
  #arm(): void {
    if (this.#isStopped) return;
    const [a = 0, b = 0] = this.#entropy.bytes(2);
    this.#cancel = this.#clock.after(this.#period_ms * (0.5 + a / 256), () => {
      const peers = this.#network.peers();
      const chosen = peers[b % Math.max(1, peers.length)];
      if (chosen) void this.exchange(chosen.peer);
      this.#arm();
    });
  }

  /**
   * A peer's frontier came with its request: asks it in turn when it holds something that is
   * lacking here.
   */
  heard(peer: PeerName, frontier: Frontier): void {
    this.#noteClock(peer, frontier);
    this.#rollCall.note(peer, frontier);
    const now_ms = this.#clock.monotonic_ms();
    if (!this.#lacks(frontier) || now_ms - (this.#asked_ms.get(peer) ?? -AGAIN_MS) < AGAIN_MS) {
      return;
    }
    void this.exchange(peer);
  }

  #noteClock(peer: PeerName, { wall_ms }: Frontier): void {
    const guard = this.#replica.clockGuard;
    const actor = this.#network.peers().find((one) => one.peer === peer)?.actor;
    const author = actor === undefined ? undefined : this.#replica.committee.indexOf(actor);
    if (!guard || author === undefined) return;
    guard.note(author, wall_ms);
    if (guard.isSuspect) this.#replica.wake();
  }

  /** Another asked for blocks of an epoch that is not entered here yet. */
  ahead(peer: PeerName): void {
    const now_ms = this.#clock.monotonic_ms();
    if (now_ms - (this.#asked_ms.get(peer) ?? -AGAIN_MS) >= AGAIN_MS) void this.exchange(peer);
  }

  #lacks({ epoch, newest, commit, waiting }: Frontier): boolean {
    if (waiting.some((id) => this.#isNew(id))) return true;
    if (this.#replica.isHalted) return false;
    const mine = this.#replica.committee.epoch;
    return (
      epoch > mine ||
      commit > this.#replica.orderer.state.last.index ||
      (epoch === mine && newest.some((ref) => !this.#replica.isKnown(ref)))
    );
  }

  #isNew(id: string): boolean {
    const { pool, fold } = this.#replica;
    return !pool.get(id) && !this.#replica.carrierOf(id) && !fold.isFinal(id);
  }

  /** Exchanges frontiers with a peer and takes what is lacking here. Never throws. */
  async exchange(peer: PeerName): Promise<void> {
    if (this.#busy.has(peer) || this.#isStopped) return;
    this.#busy.add(peer);
    const { epoch } = this.#replica.committee;
    this.#asked_ms.set(peer, this.#clock.monotonic_ms());
    try {
      this.exchanges += 1;
      const theirs = await this.#askFrontier(peer);
      if (theirs) {
        await this.#fetchOwn(peer, theirs);
        await this.#fetchEvents(peer, theirs);
        this.#wayUp.note(peer, theirs);
        if (!this.#replica.isHalted && this.#isFarBehind(theirs)) await this.#comeUp(peer, theirs);
        this.#rollCall.note(peer, theirs);
      }
    } catch (error) {
      this.#log.debug({ peer, code: codeOf(error) }, 'an exchange with a peer failed');
      this.#network.penalise(peer, codeOf(error));
    } finally {
      this.#busy.delete(peer);
    }
    // `entered` found it busy
    if (this.#replica.committee.epoch > epoch) await this.exchange(peer);
  }

  /**
   * An own block that the peer names and this store has lost: taken at once, however far this node
   * is behind, since it shows that slots were used. Nobody else could have signed it.
   */
  async #fetchOwn(peer: PeerName, { epoch, newest }: Frontier): Promise<void> {
    const { author: self, committee } = this.#replica;
    const ref = newest.find((one) => one.author === self && !this.#replica.isKnown(one));
    if (!ref || epoch !== committee.epoch) return;
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: ANSWER_BYTES_MAX };
    const message = messages.encodeBlocksRequest({ epoch, refs: [ref] });
    for await (const frame of this.#network.request(peer, 'blocks', message, limits)) {
      await this.#intake.take(frame, peer);
    }
    await this.#replica.settled();
  }

  /** A new epoch was entered: the linked peers hear so, and tell where they stand. */
  entered(): void {
    for (const { peer } of this.#network.peers()) void this.exchange(peer);
  }

  /** With the blocks that are lacking here; where those are many, only if all are wanted. */
  async #askFrontier(peer: PeerName, wantsAll = false): Promise<Frontier | undefined> {
    const message = messages.encodeFrontier(this.#server.frontier());
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: ANSWER_BYTES_MAX + 256 * 1024 };
    let theirs: Frontier | undefined;
    for await (const frame of this.#network.request(peer, 'frontier', message, limits)) {
      if (theirs) {
        await this.#intake.take(frame, peer);
        continue;
      }
      theirs = messages.decodeFrontier(frame);
      this.#noteClock(peer, theirs);
      this.#target = Math.max(this.#target, theirs.commit);
      if (this.#replica.isHalted || (!wantsAll && this.#isFarBehind(theirs))) break;
    }
    return theirs;
  }

  /** Rounds that this node would have to take one by one, or that lie below the peer's horizon. */
  #isFarBehind({ epoch, newest, commit, horizon }: Frontier): boolean {
    const { committee, orderer, roundClock } = this.#replica;
    if (epoch !== committee.epoch) return epoch > committee.epoch;
    if (commit <= orderer.state.last.index) return false;
    const top = newest.reduce((most, { round }) => Math.max(most, round), 0);
    return top - roundClock.round > BEHIND_ROUNDS || horizon >= roundClock.round;
  }

  async #fetchEvents(peer: PeerName, { waiting }: Frontier): Promise<void> {
    const want = waiting.filter((id) => this.#isNew(id));
    if (want.length === 0) return;
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: ANSWER_BYTES_MAX };
    for await (const frame of this.#network.request(
      peer,
      'events',
      messages.encodeEventsRequest({ want }),
      limits,
    )) {
      await this.#take(messages.decodePoolItems(frame), peer);
    }
  }

  /** Few rounds are taken one by one; else commits, where a peer has them; else a snapshot. */
  async #comeUp(peer: PeerName, theirs: Frontier): Promise<void> {
    const next = (): number => this.#replica.orderer.state.last.index + 1;
    if (!(await this.#wayUp.go(next, theirs))) return;
    await this.#catchUpFrom(peer);
    // all its commits have come, and what decides them may stand in rounds that none has ordered
    const { committee, roundClock } = this.#replica;
    const isNear = theirs.epoch === committee.epoch && theirs.horizon < roundClock.round;
    const isStuck = isNear && !this.#catchingUp && this.#isFarBehind(theirs);
    if (isStuck) await this.#askFrontier(peer, true);
  }

  /** Blocks that commits have ordered and that a snapshot left out, parents first. */
  async #fetchAbsent(peer: PeerName): Promise<void> {
    const { committee, orderer } = this.#replica;
    const { absent } = orderer;
    const limits = { timeout_ms: 4 * TIMEOUT_MS, responseBytes_max: 2 * ANSWER_BYTES_MAX };
    for (let at = 0; at < absent.length && !this.#isStopped; at += ABSENT_MAX) {
      const refs = absent.slice(at, at + ABSENT_MAX);
      const message = messages.encodeBlocksRequest({ epoch: committee.epoch, refs });
      for await (const frame of this.#network.request(peer, 'blocks', message, limits)) {
        await this.#intake.take(frame, peer);
      }
    }
    if (absent.length > 0) await this.#replica.settled();
  }

  /**
   * Takes commit after commit with their blocks, in the order of the log, until the peer has no
   * more. The blocks go the way of all blocks, so the rule decides here again, and never over a
   * hole: a block is accepted after its parents. The next answer is on its way while the blocks of
   * the last one are checked and folded; one that brought nothing new ends it.
   */
  async #catchUpFrom(peer: PeerName): Promise<void> {
    if (this.#progress.mayGoOn) return;
    const mine = {};
    this.#catchingUp = mine;
    this.#progress.begin();
    const commits = (): number => this.#replica.orderer.state.last.index;
    const checks = new Checks();
    try {
      await this.#fetchAbsent(peer);
      let from = commits() + 1;
      let skip = 0;
      for (let more = true; more && !this.#isStopped && this.#catchingUp === mine; ) {
        const before = commits();
        const { epoch } = this.#replica.committee;
        const { last, rest, fresh } = await this.#range(peer, { from, skip }, checks, mine);
        const isBehind = fresh() === 0 || commits() === before;
        const mustWait = isBehind || this.#replica.backlogBytes > ANSWER_BYTES_MAX;
        if (mustWait) await this.#folded(checks);
        const hasEntered = this.#replica.committee.epoch > epoch;
        // a long tail of an epoch comes in parts, some of it perhaps held here
        const isTail = rest > 0 && skip + rest < TAIL_MAX;
        more = (last >= from && fresh() > 0) || isTail || hasEntered;
        skip = rest > 0 && last < from ? skip + rest : rest;
        from = last + 1;
      }
      await this.#folded(checks);
    } finally {
      if (this.#catchingUp === mine) {
        this.#catchingUp = undefined;
        this.#progress.end();
      }
      this.#replica.wake();
    }
  }

  async #folded(checks: Checks): Promise<void> {
    await checks.all();
    await this.#replica.settled();
  }

  /**
   * One answer; returns the last commit that is complete with it, or `from - 1`, how many blocks
   * came after it, and counts the blocks that turn out to be valid and new. An honest peer sends at
   * least the leader with every commit, whether it is held here or not.
   */
  async #range(
    peer: PeerName,
    request: RangeRequest,
    checks: Checks,
    stream: object,
  ): Promise<{ readonly last: number; readonly rest: number; readonly fresh: () => number }> {
    const limits = { timeout_ms: 4 * TIMEOUT_MS, responseBytes_max: 2 * ANSWER_BYTES_MAX };
    let last = request.from - 1;
    let blocks = 0;
    let fresh = 0;
    const take = async (block: Uint8Array): Promise<void> => {
      if ((await this.#intake.take(block, peer)) !== 'accept') return;
      fresh += 1;
      if (this.#catchingUp === stream) this.#progress.brought();
    };
    for await (const bytes of this.#network.request(
      peer,
      'range',
      messages.encodeRangeRequest(request),
      limits,
    )) {
      const frame = messages.decodeRangeFrame(bytes);
      if ('commit' in frame) {
        if (frame.commit !== last + 1) {
          fail('bad_range', 'A peer sent commits out of order.', { commit: frame.commit });
        }
        if (blocks === 0) {
          fail('bad_range', 'A peer sent a commit without a block.', { commit: frame.commit });
        }
        blocks = 0;
        last = frame.commit;
        this.#target = Math.max(this.#target, last);
        continue;
      }
      if ('seal' in frame) {
        blocks = 0;
        await this.#folded(checks);
        await this.#enter(frame.seal);
        continue;
      }
      blocks += 1;
      await checks.add(take(frame.block));
    }
    return { last, rest: blocks, fresh: () => fresh };
  }

  /**
   * All that decides the last commit of an epoch has come: the next one is entered before its
   * blocks are looked at.
   */
  async #enter(seal: Uint8Array): Promise<void> {
    await this.#replica.settled();
    await this.#gate.take(seal);
    await this.#replica.settled();
  }
}
