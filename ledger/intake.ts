import { blockJob, decodeBlock, entryJobs } from './block.ts';
import type { Block } from './block.ts';
import type { Chain } from './chain.ts';
import { codeOf, fail, X0tError } from './errors.ts';
import type { Clock, GossipVerdict, Id, Log, PeerName, Verifier } from './ports.ts';
import type { Replica } from './replica.ts';
import type { VerifiedEntries } from './verified.ts';

/**
 * Blocks whose time lies further ahead than this are held, never rejected: validity must not depend
 * on a clock.
 */
const AHEAD_MS_MAX = 500;
/** Blocks held for their time, all authors together. */
const HELD_MAX = 256;
/** Blocks of the next epoch that are kept unchecked: 16 MiB at most. */
const EARLY_MAX = 64;
/** Bytes of blocks under verification: beyond them blocks are dropped, and fetched later. */
const BYTES_UNDER_WAY_MAX = 64 * 1024 * 1024;
/** Bytes of blocks that wait for the replica's next turn: beyond them the same. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;
/**
 * With so many bytes under verification a block's own signature is checked before those of its
 * entries, so that forged blocks cost one check each. Below it all are checked together, which is
 * sooner done.
 */
const BUSY_BYTES = 4 * 1024 * 1024;
/** A third block in a slot is taken only when an accepted block refers to it. */
const TWINS_MAX = 2;

export interface IntakeCounters {
  blocksReceived: number;
  blocksKnown: number;
  blocksDropped: number;
  blocksHeld: number;
  /** Rejected blocks by error code. */
  readonly rejected: Map<string, number>;
}

/**
 * The way of a block from bytes to the replica: form, signatures, time. Nothing else checks them
 * again.
 */
export class BlockIntake {
  readonly #chain: Chain;
  readonly #replica: Replica;
  readonly #verifier: Verifier;
  readonly #verified: VerifiedEntries;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Told of a peer that stands in a later epoch. */
  readonly #ahead: (from: PeerName) => void;
  readonly #underWay = new Map<Id, Promise<GossipVerdict>>();
  readonly #held = new Map<
    Id,
    { readonly block: Block; readonly from: PeerName | undefined; readonly cancel: () => void }
  >();
  /** Blocks of the next epoch that came before it was entered here, as they came. */
  #early: { readonly bytes: Uint8Array; readonly from: PeerName | undefined }[] = [];
  #bytesUnderWay = 0;
  readonly counters: IntakeCounters = {
    blocksReceived: 0,
    blocksKnown: 0,
    blocksDropped: 0,
    blocksHeld: 0,
    rejected: new Map(),
  };

  constructor(
    chain: Chain,
    replica: Replica,
    verifier: Verifier,
    verified: VerifiedEntries,
    clock: Clock,
    log: Log,
    ahead: (from: PeerName) => void,
  ) {
    this.#ahead = ahead;
    this.#chain = chain;
    this.#replica = replica;
    this.#verifier = verifier;
    this.#verified = verified;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Takes a sealed block. `accept` when its signatures hold (parents may be missing still),
   * `ignore` when it is known, out of reach or too much at once. Throws the coded error of an
   * invalid block: the caller holds it against the peer.
   */
  async take(bytes: Uint8Array, from: PeerName | undefined): Promise<GossipVerdict> {
    this.counters.blocksReceived += 1;
    if (
      this.#bytesUnderWay + bytes.length > BYTES_UNDER_WAY_MAX ||
      this.#replica.backlogBytes > BACKLOG_BYTES_MAX
    ) {
      this.counters.blocksDropped += 1;
      return 'ignore';
    }
    try {
      const block = this.#decode(bytes, from);
      if (!block) return 'ignore';
      const held = this.#held.get(block.ref.id);
      if (held && this.#isDue(held.block)) this.#letGo(block.ref.id);
      const underWay = this.#underWay.get(block.ref.id);
      // a copy with a bad signature must not keep a good one away
      const isChecked = underWay && (await underWay.catch(() => undefined)) !== undefined;
      if (held || isChecked || this.#replica.isKnown(block.ref) || this.#isSurplusTwin(block)) {
        this.counters.blocksKnown += 1;
        return 'ignore';
      }
      this.#bytesUnderWay += bytes.length;
      const verdict = this.#check(block, from).finally(() => {
        this.#bytesUnderWay -= bytes.length;
        this.#underWay.delete(block.ref.id);
      });
      this.#underWay.set(block.ref.id, verdict);
      return await verdict;
    } catch (error) {
      const code = codeOf(error);
      this.counters.rejected.set(code, (this.counters.rejected.get(code) ?? 0) + 1);
      this.#log.debug({ code, from }, 'a block was rejected');
      throw error;
    }
  }

  /** None where it is of another epoch: a past one is decided here, a later one not begun. */
  #decode(bytes: Uint8Array, from: PeerName | undefined): Block | undefined {
    const { committee } = this.#replica;
    try {
      return decodeBlock(bytes, this.#chain.id, committee);
    } catch (error) {
      const epoch = epochOfForeign(error);
      if (epoch === undefined || epoch === committee.epoch) throw error;
      if (epoch > committee.epoch) {
        this.#keepEarly(bytes, epoch - committee.epoch, from);
        if (from !== undefined) this.#ahead(from);
      } else this.counters.blocksKnown += 1;
      return undefined;
    }
  }

  /** Nothing of it can be checked yet: a few are kept, and the rest is fetched when it is due. */
  #keepEarly(bytes: Uint8Array, ahead: number, from: PeerName | undefined): void {
    if (ahead > 1 || this.#early.length >= EARLY_MAX) this.counters.blocksDropped += 1;
    else this.#early.push({ bytes, from });
  }

  /** A new epoch was entered: what came early is looked at now. */
  entered(): void {
    for (const { block, cancel } of this.#held.values()) {
      if (block.header.epoch === this.#replica.committee.epoch) continue;
      cancel();
      this.#held.delete(block.ref.id);
    }
    for (const { bytes, from } of this.#early.splice(0)) {
      this.take(bytes, from).catch((error: unknown) => {
        if (from !== undefined) this.#log.debug({ code: codeOf(error), from }, 'an early block');
      });
    }
  }

  #isSurplusTwin({ ref }: Block): boolean {
    const twins = this.#replica.orderer.dag.slot(ref.round, ref.author);
    return twins.length >= TWINS_MAX && !this.#replica.waiting.isWanted(ref.id);
  }

  async #check(block: Block, from: PeerName | undefined): Promise<GossipVerdict> {
    // a new epoch may have been entered since it was decoded
    const committee = this.#replica.epochs.need(block.header.epoch);
    const { jobs, indexes } = entryJobs(block, committee, (index) =>
      this.#verified.has(block.leaves[index] as Uint8Array),
    );
    const ownJob = blockJob(block, committee);
    const isBusy = this.#bytesUnderWay > BUSY_BYTES;
    const first = await this.#verifier.verify(isBusy ? [ownJob] : [ownJob, ...jobs]);
    if (first[0] !== true) {
      fail('bad_block_signature', "The author's signature does not fit the block.", {
        id: block.ref.id,
      });
    }
    const entries = isBusy ? await this.#verifier.verify(jobs) : first.slice(1);
    const wrong = entries.indexOf(false);
    if (wrong >= 0) {
      const entry = block.entries[indexes[wrong] as number];
      fail('bad_event_signature', 'A signature does not fit its event.', {
        id: entry?.id ?? '',
        block: block.ref.id,
      });
    }
    this.#release(block, from);
    return 'accept';
  }

  /** Hands the block to the replica, at once or when its time has come. */
  #release(block: Block, from: PeerName | undefined): void {
    if (this.#isDue(block)) {
      this.#replica.offer(block, from);
      return;
    }
    if (this.#held.size >= HELD_MAX) {
      this.counters.blocksDropped += 1;
      return;
    }
    this.counters.blocksHeld += 1;
    const ahead_ms = block.header.ts_ms - this.#clock.wall_ms() - AHEAD_MS_MAX;
    const cancel = this.#clock.after(Math.max(1, ahead_ms), () => this.#letGo(block.ref.id));
    this.#held.set(block.ref.id, { block, from, cancel });
    for (const { id } of block.header.parents) {
      const held = this.#held.get(id);
      if (held && this.#isDue(held.block)) this.#letGo(id);
    }
  }

  #letGo(id: Id): void {
    const held = this.#held.get(id);
    if (!held) return;
    held.cancel();
    this.#held.delete(id);
    this.#replica.offer(held.block, held.from);
  }

  /**
   * Its time has come, or f + 1 other validators refer to it: then it is this node's clock that is
   * slow.
   */
  #isDue({ ref, header }: Block): boolean {
    if (header.ts_ms - this.#clock.wall_ms() <= AHEAD_MS_MAX) return true;
    const { epoch } = header;
    const { committee: present, epochs, waiting } = this.#replica;
    // a new epoch may be entered already, and what is held be of the one before
    const authors = new Set(epoch === present.epoch ? waiting.authorsWanting(ref.id) : []);
    for (const { block } of this.#held.values()) {
      if (block.header.epoch !== epoch) continue;
      if (block.header.parents.some(({ id }) => id === ref.id)) authors.add(block.header.author);
    }
    authors.delete(ref.author);
    const committee = epochs.need(epoch);
    return committee.stakeOf(authors) >= committee.validity;
  }

  /** Drops what is held. */
  stop(): void {
    for (const { cancel } of this.#held.values()) cancel();
    this.#held.clear();
    this.#early = [];
  }
}

/** The epoch that a refused header names; `undefined` for any other refusal. */
function epochOfForeign(error: unknown): number | undefined {
  if (!(error instanceof X0tError) || error.code !== 'foreign_committee') return undefined;
  const { epoch } = error.data;
  return typeof epoch === 'number' ? epoch : undefined;
}
