import { decodeVote, encodeVote, formCertificate, signCheckpoint } from './certificate.ts';
import { decodeCertificate, verifyCertificate, voteJob } from './certificate.ts';
import type { Certificate, Vote } from './certificate.ts';
import type { Chain } from './chain.ts';
import { CheckpointStore } from './checkpoint-store.ts';
import type { Divergence, HeldCheckpoints } from './checkpoint-store.ts';
import { slotName } from './checkpoint.ts';
import type { Checkpoint, CheckpointSlot } from './checkpoint.ts';
import type { Committee } from './committee.ts';
import { CUT_EVENTS } from './cuts.ts';
import { DivergenceAlarm, votesOf } from './divergence.ts';
import { fail } from './errors.ts';
import { heldKey } from './held-keys.ts';
import type { Self } from './held-keys.ts';
import { OwnCheckpoints } from './own-checkpoints.ts';
import type { BlockStore, Clock, GossipVerdict, Log, Verifier } from './ports.ts';
import type { Tally } from './votes.ts';
import { Votes } from './votes.ts';
import { WorkLine } from './work-line.ts';

/**
 * Checkpoints of this node, votes on them, and the certificates that a quorum's votes make
 * (consensus.md 2.16). Nothing of it is payload: no block is sealed because of it.
 *
 * Who cuts: the fold (`cuts.ts`), as a function of the final sequence, in the batch of the commit;
 * the replica hands the cuts over when that batch is in the store (`ReplicaHost.cut`).
 *
 * The seam for epochs:
 * 1. In the turn that applies the last commit C of epoch e, after `fold.apply(C, ...)` and before
 *    `fold.ops`, call `fold.endEpoch(C, next)` with the committee of epoch e + 1. It cuts a
 *    checkpoint `epoch` with `nextCommittee = next.id` at C (a periodic cut at C gives way) and
 *    keeps the validators in the row `storeKeys.committee(e + 1)`, in C's own batch.
 * 2. The validators of e sign it by themselves. `whenEnded(e)` resolves with its certificate, at
 *    once where it is held; `onCertified` hears of every new certificate, `endOf(e)` reads it.
 *    Restarting, losing votes and being away need nothing: votes are asked for again, and whole
 *    certificates are taken from peers. Its id, `certificate.checkpoint.id`, is the "last
 *    checkpoint" of the new genesis blocks; no block of e + 1 is sealed before.
 * 3. Votes and certificates of e + 1 are verified with the committee that step 1 kept, and signed
 *    by the actor of this node where it has a seat there. `mayVote` says whether this node may.
 */

/** Everything impure, and what the layer above knows. */
export interface CertifierPorts {
  readonly clock: Clock;
  readonly store: BlockStore;
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly log: Log;
}

export interface CertifierHost {
  /** Sends an own vote to everybody. */
  publish(vote: Uint8Array): void;
  /** Makes nothing final any more, and goes on accepting. Idempotent. */
  haltFinality(): void;
  /** Whether this node may sign in an epoch: it does not know what a lost store has signed. */
  mayVote(epoch: number): boolean;
}

export interface CertifierCounters {
  signed: number;
  votesTaken: number;
  certified: number;
  /** Validators that signed two checkpoints of one slot. */
  doubleVotes: number;
}

/** Votes under verification at once; more are dropped and asked for later. */
const UNDER_WAY_MAX = 256;
/** What lies further beyond the own cuts is far ahead: some seconds of a busy network. */
const NEAR_EVENTS = 10 * CUT_EVENTS;

/**
 * Signs own checkpoints, collects votes, and keeps certificates. An epoch whose last checkpoint is
 * certified here is closed: whoever holds keys of its committee, which may be few and old, decides
 * nothing any more.
 */
export class Certifier {
  readonly store: CheckpointStore;
  readonly votes = new Votes();
  readonly counters: CertifierCounters = { signed: 0, votesTaken: 0, certified: 0, doubleVotes: 0 };
  readonly #chain: Chain;
  readonly #self: Self;
  readonly #ports: CertifierPorts;
  readonly #host: CertifierHost;
  // what is known
  readonly #own: OwnCheckpoints;
  readonly #alarm: DivergenceAlarm;
  readonly #work: WorkLine;
  #underWay = 0;
  #listeners = new Set<(certificate: Certificate) => void>();

  constructor(
    chain: Chain,
    self: Self,
    ports: CertifierPorts,
    host: CertifierHost,
    held: HeldCheckpoints,
  ) {
    this.#chain = chain;
    this.#self = self;
    this.#ports = ports;
    this.#host = host;
    this.store = new CheckpointStore(ports.store, held);
    this.#own = new OwnCheckpoints(this.store, held.own);
    this.#work = new WorkLine(ports.log, 'a checkpoint could not be worked on');
    const { store, votes } = this;
    this.#alarm = new DivergenceAlarm({
      store,
      votes,
      log: ports.log,
      committeeOf: (epoch) => this.committeeOf(epoch),
      haltFinality: () => host.haltFinality(),
    }, held.diverged);
  }

  /** Votes again for what no certificate covers yet. Call it when peers can be reached. */
  start(): void {
    for (const checkpoint of this.#own.waiting) this.#vote(checkpoint);
  }

  /** Signs the end of an epoch anew while it waits: votes may have been lost on the way. */
  again(): void {
    for (const checkpoint of this.#own.waiting) {
      if (checkpoint.cut === 'epoch') this.#vote(checkpoint);
    }
  }

  /** Ends after the work under way. */
  stop(): Promise<void> {
    return this.#work.stop();
  }

  /** Resolves when what was handed over until now is worked on. */
  settled(): Promise<void> {
    return this.#work.settled();
  }

  /** The certificate that covers most, of the newest epoch. */
  get latest(): Certificate | undefined {
    return this.store.latest;
  }

  /** Time since the commit that the newest certificate covers, by this node's clock. */
  get age_ms(): number | undefined {
    const ts_ms = this.latest?.checkpoint.ts_ms;
    return ts_ms === undefined ? undefined : Math.max(0, this.#ports.clock.wall_ms() - ts_ms);
  }

  /** Set when this node and others computed different checkpoints; kept over restarts. */
  get diverged(): Divergence | undefined {
    return this.#alarm.diverged;
  }

  /** The first own checkpoint that waits for a certificate. */
  get uncertified(): Checkpoint | undefined {
    return this.#own.waiting[0];
  }

  /**
   * Up to `limit` votes for a peer that asks: on own checkpoints that wait first, the end of an
   * epoch before others, the own vote before others' votes.
   */
  votesToGive(limit: number): Vote[] {
    const most = Number.MAX_SAFE_INTEGER;
    const rank = ({ cut, size }: Checkpoint): number => (cut === 'epoch' ? most : size);
    const first = this.#own.waiting
      .toSorted((a, b) => rank(b) - rank(a))
      .flatMap((one) => {
        return this.votes.on(one, this.committeeOf(one.epoch)?.indexOf(this.#self.actor));
      });
    return this.votes.give(first, limit);
  }

  /** The certificate of exactly this size. */
  at(size: number): Promise<Certificate | undefined> {
    return this.store.certificateAt(size);
  }

  /** The smallest certificate that covers a final event. */
  async covering(seq: number): Promise<Certificate | undefined> {
    return (await this.store.certificatesFrom(seq, 1))[0];
  }

  /** The certificate with which an epoch ended. */
  endOf(epoch: number): Certificate | undefined {
    return this.store.endOf(epoch);
  }

  /** Resolves once an epoch's last checkpoint is certified here. */
  whenEnded(epoch: number): Promise<Certificate> {
    return new Promise((resolve) => {
      const end = this.onCertified((certificate) => {
        const { checkpoint } = certificate;
        if (checkpoint.epoch !== epoch || checkpoint.cut !== 'epoch') return;
        end();
        resolve(certificate);
      });
      const held = this.endOf(epoch);
      if (!held) return;
      end();
      resolve(held);
    });
  }

  /** Hears of certificates when they are in the store; the returned function ends it. */
  onCertified(listener: (certificate: Certificate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The committee of an epoch; `undefined` while this node does not know it. */
  committeeOf(epoch: number): Committee | undefined {
    return epoch === 0 ? this.#chain.committee : this.store.committee(epoch);
  }

  /** Own cuts that are in the store: compares them with what others signed, and signs them. */
  cut(checkpoints: readonly Checkpoint[]): void {
    for (const checkpoint of checkpoints) {
      this.#own.add(checkpoint);
      void this.#work.add(() => this.#alarm.compare(checkpoint));
      this.#vote(checkpoint);
    }
  }

  #vote(checkpoint: Checkpoint): void {
    void this.#work.add(() => this.#sign(checkpoint));
  }

  /** Signs an own checkpoint unless it is certified, or may not be signed here. */
  async #sign(checkpoint: Checkpoint): Promise<void> {
    const { epoch } = checkpoint;
    const committee = this.committeeOf(epoch);
    const author = committee?.indexOf(this.#self.actor);
    if (!committee || author === undefined || this.#alarm.diverged) return;
    // of that epoch, also where the actor has another by now
    const key = heldKey(this.#self, committee.keyIdAt(author));
    if (!key || !this.#host.mayVote(epoch) || this.#own.isSuperseded(checkpoint)) return;
    const before = await this.store.claim(checkpoint);
    if (before !== undefined) {
      // what it signed before a rebuild was wrong, as others have shown: it signs nothing here
      const stake = committee.stakeOf(await this.store.accusers(checkpoint));
      if (stake < committee.validity) await this.#alarm.raise(checkpoint, before, []);
      return;
    }
    const vote = await signCheckpoint(checkpoint, author, key.signer);
    this.counters.signed += 1;
    this.#host.publish(encodeVote(vote));
    await this.#count(vote);
  }

  /**
   * Takes a vote from a peer: `accept` when it is valid and new; one of a closed epoch is
   * ignored. Throws the coded error of an invalid one: the caller holds it against the peer.
   */
  async take(bytes: Uint8Array): Promise<GossipVerdict> {
    const vote = decodeVote(bytes);
    const { checkpoint, author } = vote;
    this.#assertChain(checkpoint);
    const committee = this.committeeOf(checkpoint.epoch);
    if (!committee || this.#isSettled(checkpoint) || this.votes.isKnown(vote)) return 'ignore';
    if (this.#underWay >= UNDER_WAY_MAX || this.#work.isStopped) return 'ignore';
    this.#underWay += 1;
    try {
      const [isValid] = await this.#ports.verifier.verify([voteJob(vote, committee)]);
      if (isValid !== true) {
        const { size } = checkpoint;
        fail('bad_checkpoint_signature', 'The signature does not fit.', { size, author });
      }
    } finally {
      this.#underWay -= 1;
    }
    this.counters.votesTaken += 1;
    await this.#work.add(() => this.#count(vote));
    return 'accept';
  }

  #assertChain({ chain }: Checkpoint): void {
    if (chain !== this.#chain.id) fail('foreign_chain', 'A checkpoint of another chain.');
  }

  /** Whether a vote for it changes nothing: it agrees with a certificate or with this node. */
  #isSettled(checkpoint: Checkpoint): boolean {
    if (this.store.isClosed(checkpoint.epoch)) return true;
    const certificate = this.store.certificate(checkpoint);
    if (certificate) return certificate.checkpoint.id === checkpoint.id;
    if (!this.#own.isSuperseded(checkpoint)) return false;
    return (this.#own.in(checkpoint)?.id ?? checkpoint.id) === checkpoint.id;
  }

  /**
   * Takes a certificate from a peer; throws as `take` does. Of a closed epoch only one that this
   * node computed too. Returns up to where the peer need not be asked again: its size, but not
   * beyond the end of its epoch; 0 where the epoch is not known here yet.
   */
  async takeCertificate(bytes: Uint8Array): Promise<number> {
    const certificate = decodeCertificate(bytes);
    const { checkpoint } = certificate;
    this.#assertChain(checkpoint);
    const committee = this.committeeOf(checkpoint.epoch);
    if (!committee) return 0;
    const { id, size } = checkpoint;
    if (this.store.certificate(checkpoint)?.checkpoint.id === id) return size;
    if (!this.#isOpenTo(checkpoint)) {
      return Math.min(size, this.store.endSize(checkpoint.epoch) ?? size);
    }
    await verifyCertificate(certificate, committee, this.#ports.verifier);
    await this.#work.add(() => this.#certify(certificate));
    return size;
  }

  /**
   * Whether a certificate of it would be kept, or tell of a divergence. In a closed epoch only the
   * own checkpoints before its end may still be certified; idle ones are covered by the end.
   */
  #isOpenTo(checkpoint: Checkpoint): boolean {
    const end = this.store.endSize(checkpoint.epoch);
    if (end === undefined) return true;
    const { cut, size, id } = checkpoint;
    return cut === 'periodic' && size < end && this.#own.in(checkpoint)?.id === id;
  }

  /** A verified certificate came with a snapshot, which put it into the store. */
  adopt(certificate: Certificate): void {
    if (!this.store.adopt(certificate)) return;
    this.#forgetVotes(certificate.checkpoint);
    this.#own.forgetCovered();
    for (const listener of this.#listeners) listener(certificate);
  }

  /** Adds a verified vote and acts on what it makes. */
  async #count(vote: Vote): Promise<void> {
    if (this.votes.isKnown(vote) || this.#isSettled(vote.checkpoint)) return;
    const others = this.votes.add(vote, this.#near);
    if (others.length > 0) {
      this.counters.doubleVotes += 1;
      const { checkpoint: { size }, author } = vote;
      this.#ports.log.warn({ author, size }, 'a validator signed two checkpoints of one slot');
      await this.store.accuse([vote, ...others]);
    }
    const own = this.#own.in(vote.checkpoint);
    if (own) await this.#alarm.compare(own);
    const committee = this.committeeOf(vote.checkpoint.epoch);
    const tally = this.#tallyOf(vote);
    const certificate = committee && tally && formCertificate(
      tally.checkpoint, tally.signatures.values(), committee,
    );
    if (certificate) await this.#certify(certificate);
  }

  /** What is larger lies far beyond the own log; only votes on it are fewer, nothing is refused. */
  get #near(): number {
    return Math.max(this.latest?.checkpoint.size ?? 0, this.#own.top) + NEAR_EVENTS;
  }

  #tallyOf({ checkpoint }: Vote): Tally | undefined {
    return this.votes.tallies(checkpoint).find((tally) => tally.checkpoint.id === checkpoint.id);
  }

  async #certify(certificate: Certificate): Promise<void> {
    const { checkpoint } = certificate;
    const held = this.store.certificate(checkpoint);
    if (held?.checkpoint.id === checkpoint.id || !this.#isOpenTo(checkpoint)) return;
    if (held) {
      // two quorums: whichever this node computed, others are told of by the alarm
      await this.#alarm.raise(held.checkpoint, checkpoint.id, votesOf(certificate));
      return;
    }
    const isKept = await this.store.keep(certificate);
    if (isKept) this.counters.certified += 1;
    this.#forgetVotes(checkpoint);
    const own = this.#own.in(checkpoint);
    if (own) await this.#alarm.compare(own, certificate);
    if (!isKept) return;
    this.#own.forgetCovered();
    for (const listener of this.#listeners) listener(certificate);
  }

  /** Votes on what is covered, and of closed epochs, say nothing that is needed. */
  #forgetVotes(certified: CheckpointSlot): void {
    const covered = this.latest?.checkpoint.size ?? 0;
    const name = slotName(certified);
    this.votes.drop((slot) => {
      const isCovered = slot.cut !== 'epoch' && slot.size <= covered;
      return isCovered || slotName(slot) === name || this.store.isClosed(slot.epoch);
    });
  }
}
