import type { Block } from './block.ts';
import type { Committee } from './committee.ts';
import type { Ref } from './header.ts';
import { OpenPayloads } from './open-payloads.ts';
import type { Orderer } from './orderer.ts';
import type { Pool } from './pool.ts';
import type { Id } from './ports.ts';
import type { Restored } from './replica-ports.ts';
import { RoundClock } from './round-clock.ts';
import { WaitingBlocks } from './waiting.ts';
import type { Twins } from './witness.ts';

/** No round takes so long while blocks come: the longest leader timeout, and slow links. */
const AT_REST_MS = 8000;
/** Rounds within which honest blocks are built on, and ordered with a leader. */
const PASSED_ROUNDS = 8;

/**
 * What a replica holds of one epoch: its DAG and all that refers to it. It is left behind as a
 * whole when the next epoch is entered.
 */
export class EpochRun {
  readonly committee: Committee;
  readonly orderer: Orderer;
  readonly roundClock: RoundClock;
  readonly waiting = new WaitingBlocks();
  /** Accepted blocks with payload that are not ordered, and the events in them. */
  readonly payloads: OpenPayloads;
  /** The own index in the committee; none for an observer. */
  readonly self: number | undefined;
  /** The last own block; at first the own block at round 0. */
  last: Ref | undefined;
  /** The highest round of every author that an own block has referenced. */
  readonly referenced = new Map<number, number>();

  /** `blocks`: those of a stored DAG that `orderer` holds. */
  constructor(
    orderer: Orderer,
    pool: Pool,
    actor: Id,
    now_ms: number,
    ownLast?: Ref,
    blocks: readonly Block[] = [],
  ) {
    const { committee, dag } = orderer;
    this.committee = committee;
    this.orderer = orderer;
    this.payloads = new OpenPayloads(pool);
    this.self = committee.indexOf(actor);
    if (this.self !== undefined) this.last = ownLast ?? orderer.genesisRef(this.self);
    const start = Math.max(0, dag.horizon);
    this.roundClock = new RoundClock(committee, (index) => committee.at(index).stake, start);
    for (let round = start; round <= dag.top; round++) {
      for (const author of dag.authors(round)) this.roundClock.add(round, author, now_ms);
    }
    for (const block of blocks) this.#keepOpen(block, now_ms);
  }

  /** The run of a replica that starts from its store. */
  static restored({ orderer, ownLast, blocks, pool }: Restored, actor: Id, now_ms: number) {
    const own = ownLast?.epoch === orderer.committee.epoch ? ownLast.ref : undefined;
    return new EpochRun(orderer, pool, actor, now_ms, own, blocks);
  }

  /** Whether this node sits in the committee and is linked to a quorum of it. */
  reachesQuorum(isConnected: (actor: Id) => boolean): boolean {
    const { committee, self } = this;
    if (self === undefined) return false;
    const linked = committee.validators
      .keys()
      .filter((author) => isConnected(committee.at(author).actor));
    return committee.stakeOf(new Set([self, ...linked])) >= committee.quorum;
  }

  /** Whether a block is held, waits, or is out of reach. */
  isKnown({ id, round }: Ref): boolean {
    const { dag } = this.orderer;
    return round <= dag.horizon || dag.get(id) !== undefined || this.waiting.has(id);
  }

  /**
   * Takes a block into the DAG, and then those that waited for it; yields each one. A block whose
   * parents are not all held waits for them.
   */
  *accept(first: Block, now_ms: number): Iterable<Block> {
    const { dag } = this.orderer;
    const ready = [first];
    for (let block = ready.pop(); block; block = ready.pop()) {
      const { ref, header, entries } = block;
      if (ref.round <= dag.horizon || dag.get(ref.id)) continue;
      const missing = dag.missing(header.parents);
      if (missing.length > 0) {
        this.waiting.add(block, missing);
        continue;
      }
      const { parents, ts_ms } = header;
      this.orderer.accept({ ...ref, parents, ts_ms, hasPayload: entries.length > 0 });
      this.roundClock.add(ref.round, ref.author, now_ms);
      this.#keepOpen(block, now_ms);
      yield block;
      ready.push(...this.waiting.resolved(ref.id));
    }
  }

  /** Whether an accepted block was the second of its slot: the pair, once. */
  newTwins({ round, author }: Ref): Twins | undefined {
    const [a, b, third] = this.orderer.dag.slot(round, author);
    if (!a || !b || third) return undefined;
    return { epoch: this.committee.epoch, round, author, ids: [a.id, b.id] };
  }

  /**
   * Blocks that will hardly be ordered let go of their events. On slow links a block may just take
   * longer: as long as rounds pass and those about it are not decided, it is on its way. Else all
   * that is under way would be carried twice when a network is slow already.
   */
  releaseOverdue(now_ms: number): void {
    const isMoving = now_ms - this.roundClock.entered_ms < AT_REST_MS;
    const undecided = this.orderer.decidedRound - PASSED_ROUNDS;
    this.payloads.releaseOverdue(now_ms, ({ round }) => isMoving && round > undecided);
  }

  /** Keeps the payload of an accepted block at hand until it is ordered. */
  #keepOpen(block: Block, now_ms: number): void {
    if (!this.orderer.isOrdered(block.ref.id)) this.payloads.add(block, now_ms);
  }
}
