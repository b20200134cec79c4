import type { Chain } from '#ledger/chain.ts';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import { decodeFinalRow, storeKeys } from '#ledger/keys.ts';
import type { BlockStore, Clock, Id, Log, Network, PeerName, Verifier } from '#ledger/ports.ts';
import { rememberedBy } from '#ledger/reducer.ts';
import type { Schema } from '#ledger/reducer.ts';
import type { Replica } from '#ledger/replica.ts';
import { bad, readOffer } from '#ledger/snapshot/check.ts';
import type { Offer } from '#ledger/snapshot/check.ts';
import { LeafCheck, RowCheck } from '#ledger/snapshot/contents.ts';
import { LEAF_BYTES, baseOf, decodeRows, encodeRequest } from '#ledger/snapshot/format.ts';
import type { SnapshotRequest } from '#ledger/snapshot/format.ts';
import { dropStaged, seal, stage } from '#ledger/snapshot/install.ts';
import { ANSWER_BYTES_MAX } from './server.ts';

const TIMEOUT_MS = 60_000;
/** An offer with its committee chain: a thousand epochs of a large committee. */
const OFFER_BYTES_MAX = 64 * 1024 * 1024;
/** Peers that are asked for an offer at a time. */
const ASKED_MAX = 4;
/** A part that does not come is asked for again so often before another peer is tried. */
const TRIES_MAX = 4;
const AGAIN_MS = 500;
/** Peers that are making a snapshot are asked again so often: an older one is not taken before. */
const ROUNDS_MAX = 8;
/** A peer has this time, and the time that the bytes take at this rate. */
const PATIENCE_MS = 120_000;
const BYTES_PER_S_MIN = 128 * 1024;
/** Refusals and cut links: no fault of the peer's that would cost it anything. */
const CALM = new Set([
  'peer_gone',
  'request_refused',
  'request_timeout',
  'protocol_unsupported',
  // another peer's word may have been the only reason to ask
  'snapshot_stale',
]);

export interface SnapshotParts {
  readonly chain: Chain;
  readonly schema: Schema;
  readonly replica: Replica;
  readonly network: Network;
  readonly store: BlockStore;
  readonly clock: Clock;
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly log: Log;
  /** Puts the sealed snapshot in its place and goes on from there. */
  readonly install: (offer: Offer) => Promise<void>;
}

/** How much of a snapshot has come. */
export interface SnapshotProgress {
  readonly size: number;
  readonly done_bytes: number;
  readonly total_bytes: number;
}

/** What went wrong here, whatever a peer sent. */
const OWN = new Set(['store_failed', 'stopping', 'engine_closed']);

interface Offered {
  readonly peer: PeerName;
  readonly offer: Offer;
}

/**
 * Fetches a snapshot (consensus.md 2.11): asks some peers what they offer, takes the newest one
 * that is properly certified, part by part into the store, and puts it in place when every byte of
 * it is verified. What a peer sends wrong ends the attempt and costs the peer; the next one is
 * tried.
 */
export class SnapshotSync {
  readonly #parts: SnapshotParts;
  /** Peers that were making a snapshot when they were asked. */
  readonly #pending = new Set<PeerName>();
  #isRunning = false;
  #runs = 0;
  #isStopped = false;
  #progress: SnapshotProgress | undefined;
  #deadline_ms = 0;
  #hasContradiction = false;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#isStopped = true;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  get progress(): SnapshotProgress | undefined {
    return this.#progress;
  }

  /** Whether a quorum was seen to have signed another log than the one that is held here. */
  get hasContradiction(): boolean {
    return this.#hasContradiction;
  }

  /** Tries once with some peers; returns whether a snapshot was put in place. Never throws. */
  async run(): Promise<boolean> {
    // a node that stands apart from others keeps what it has, for people to look at
    if (this.#isRunning || this.#isStopped || this.#parts.replica.isHalted) return false;
    this.#isRunning = true;
    this.#runs += 1;
    try {
      const offers = await this.#offers();
      for (const { peer, offer } of offers) {
        if (this.#isStopped) return false;
        if (await this.#attempt(peer, () => this.#fetch(peer, offer))) return true;
      }
      return false;
    } finally {
      this.#isRunning = false;
      this.#progress = undefined;
    }
  }

  /** Whether it went well; what the peer did wrong is held against it. */
  async #attempt(peer: PeerName, step: () => Promise<unknown>): Promise<boolean> {
    const { log, network } = this.#parts;
    try {
      await step();
      return true;
    } catch (error) {
      if (isPending(error)) this.#pending.add(peer);
      const code = codeOf(error);
      log.info({ peer, code }, 'a snapshot could not be taken from a peer');
      if (!CALM.has(code) && !OWN.has(code)) network.penalise(peer, code);
      return false;
    }
  }

  /** The verified offers of some peers, validators asked first, the newest first. */
  async #offers(): Promise<Offered[]> {
    const { network, replica } = this.#parts;
    const isValidator = (actor: string) => replica.committee.indexOf(actor) !== undefined;
    const peers = network.peers().toSorted((a, b) => {
      return Number(isValidator(b.actor)) - Number(isValidator(a.actor));
    });
    const offers: Offered[] = [];
    // others in every run, so that nobody is never asked
    const start = peers.length > ASKED_MAX ? ((this.#runs - 1) * ASKED_MAX) % peers.length : 0;
    let asked = peers.slice(start, start + ASKED_MAX).map(({ peer }) => peer);
    for (let round = 0; round < ROUNDS_MAX && asked.length > 0; round++) {
      if (round > 0) await this.#pause();
      this.#pending.clear();
      for (const peer of asked) {
        if (this.#isStopped) return [];
        await this.#attempt(peer, async () => offers.push({ peer, offer: await this.#ask(peer) }));
      }
      asked = [...this.#pending];
    }
    return offers.toSorted((a, b) => b.offer.size - a.offer.size);
  }

  async #ask(peer: PeerName): Promise<Offer> {
    const { network, chain, verifier } = this.#parts;
    const frames: Uint8Array[] = [];
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: OFFER_BYTES_MAX };
    const request = encodeRequest({ part: 'offer' });
    for await (const frame of network.request(peer, 'snapshot', request, limits)) {
      frames.push(frame);
    }
    const offer = await readOffer(frames, chain, verifier);
    this.#assertFits(offer);
    return offer;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.after(AGAIN_MS, resolve));
  }

  /** It goes on from what this node holds: later, and over the same ends of epochs. */
  #assertFits({ head, size, ends }: Offer): void {
    const { replica, schema } = this.#parts;
    if (size <= replica.fold.size) {
      fail('snapshot_stale', 'The peer offers less than this node holds.', { size });
    }
    if (head.base !== baseOf(size, rememberedBy(schema))) bad('The leaves begin elsewhere.');
    for (const [epoch, { checkpoint }] of ends.entries()) {
      const own = replica.epochs.ofEpoch(epoch + 1)?.base;
      if (own !== undefined && own !== checkpoint.id) this.#contradicts(checkpoint.size);
    }
  }

  /** A quorum signed another log than the one this node has: nothing here may be overwritten. */
  #contradicts(size: number): never {
    this.#hasContradiction = true;
    this.#parts.log.error({ size }, 'a certified snapshot contradicts the log of this node');
    fail('snapshot_contradicts', 'A certified snapshot contradicts the log of this node.', {
      size,
    });
  }

  async #fetch(peer: PeerName, offer: Offer): Promise<void> {
    const { store, schema, chain, log } = this.#parts;
    const { head, size } = offer;
    await dropStaged(store);
    log.info({ peer, size, bytes: head.bytes, rows: head.rows }, 'a snapshot is being fetched');
    const total_bytes = head.bytes + LEAF_BYTES * (size - head.base);
    this.#progress = { size, done_bytes: 0, total_bytes };
    const needed_ms = (1000 * total_bytes) / BYTES_PER_S_MIN;
    this.#deadline_ms = this.#parts.clock.monotonic_ms() + PATIENCE_MS + needed_ms;
    const leaves = new LeafCheck(head);
    const { base } = head;
    await this.#pull(peer, { part: 'leaves', size, from: base }, size, async (frame, index) => {
      leaves.take(frame, (seq, id, verdict) => this.#compare(seq, id, verdict));
      await stage(store, 'leaves', index, frame);
      return leaves.log.size;
    });
    leaves.finish();
    const rows = new RowCheck(head, schema);
    await this.#pull(peer, { part: 'rows', size, from: 0 }, head.chunks, async (frame, index) => {
      rows.take(decodeRows(frame));
      await stage(store, 'rows', index, frame);
      return index + 1;
    });
    const digests = rows.finish();
    if (this.#isStopped) fail('stopping', 'The node is stopping.');
    await seal(store, chain, offer, leaves.log, digests);
    await this.#parts.install(offer);
    log.info({ size }, 'the snapshot is in place: what follows is fetched from there');
  }

  /**
   * Takes all frames of a part, in as many requests as it needs; `take` returns from where to go
   * on. A peer that gives nothing for a while is given up.
   */
  async #pull(
    peer: PeerName,
    request: Exclude<SnapshotRequest, { part: 'offer' }>,
    end: number,
    take: (frame: Uint8Array, index: number) => Promise<number>,
  ): Promise<void> {
    const { network, clock } = this.#parts;
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: 2 * ANSWER_BYTES_MAX };
    let index = 0;
    let { from } = request;
    for (let tries = 0; from < end; ) {
      const before = from;
      if (clock.monotonic_ms() > this.#deadline_ms) {
        fail('request_timeout', 'The peer gives the snapshot too slowly.', { peer });
      }
      try {
        const message = encodeRequest({ ...request, from });
        for await (const frame of network.request(peer, 'snapshot', message, limits)) {
          if (this.#isStopped) fail('stopping', 'The node is stopping.');
          if (from >= end) bad('More than was promised.');
          from = await take(frame, index);
          index += 1;
          this.#note(frame.length);
        }
      } catch (error) {
        if (!CALM.has(codeOf(error)) || tries >= TRIES_MAX) throw error;
      }
      tries = from > before ? 0 : tries + 1;
      if (from > before) continue;
      if (tries > TRIES_MAX) fail('peer_gone', 'The peer gives no more of the snapshot.');
      await this.#pause();
    }
  }

  #note(bytes: number): void {
    const { size, done_bytes, total_bytes } = this.#progress as SnapshotProgress;
    this.#progress = { size, done_bytes: done_bytes + bytes, total_bytes };
  }

  /** What this node holds of the log is the beginning of what was certified. */
  #compare(seq: number, id: Id, verdict: number): void {
    const { store, replica } = this.#parts;
    if (seq > replica.fold.size) return;
    const row = store.get(storeKeys.final(seq));
    const own = row && decodeFinalRow(row);
    if (own && (own.id !== id || own.verdict !== verdict)) this.#contradicts(seq);
  }
}

/** The peer said that it is making one. */
function isPending(error: unknown): boolean {
  return error instanceof X0tError && error.data['reason'] === 'snapshot_pending';
}
