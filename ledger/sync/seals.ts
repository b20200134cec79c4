import {
  decodeCertificate,
  decodeVote,
  encodeVote,
  formCertificate,
  signCheckpoint,
  voteJob,
} from '#ledger/certificate.ts';
import type { Vote } from '#ledger/certificate.ts';
import type { Chain } from '#ledger/chain.ts';
import { decode, encode } from '#ledger/codec.ts';
import { epochEndOf, epochStartFrom, nextCommittee } from '#ledger/epoch-end.ts';
import type { EpochEnd } from '#ledger/epoch-end.ts';
import { codeOf } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import { storeKeys } from '#ledger/keys.ts';
import { FRAME_BYTES_MAX } from '#ledger/limits.ts';
import type { BlockStore, Clock, Log, Network, PeerName, Verifier } from '#ledger/ports.ts';
import type { Author } from '#ledger/replica-ports.ts';
import type { Replica } from '#ledger/replica.ts';

/** While an epoch waits for its certificate, peers are asked again after this. */
const ASK_AGAIN_MS = 250;
const TIMEOUT_MS = 5000;
/** One vote has 3.6 KiB, a certificate of the largest committee 280 KiB. */
const ANSWER_BYTES_MAX = 2 * FRAME_BYTES_MAX;

const KNOWN = new Set(['epoch', 'vote']);

export interface SealPorts {
  readonly network: Network;
  readonly store: BlockStore;
  readonly clock: Clock;
  readonly verifier: Verifier;
  readonly log: Log;
}

/**
 * Certifies the end of an epoch (consensus.md 2.10): every validator of the ending epoch that has
 * decided its last commit signs the checkpoint there, and all who have decided it collect the
 * signatures of a quorum. Nodes ask each other on protocol `seal` until they have it: with a
 * request comes the asker's vote, back come the certificate, or the votes that are known.
 */
export class EpochSeals {
  readonly #chain: Chain;
  readonly #replica: Replica;
  readonly #self: Author;
  readonly #ports: SealPorts;
  /** The end that waits for its certificate, and the valid votes by author. */
  #end: EpochEnd | undefined;
  readonly #votes = new Map<number, Vote>();
  #own: Vote | undefined;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(chain: Chain, replica: Replica, self: Author, ports: SealPorts) {
    this.#chain = chain;
    this.#replica = replica;
    this.#self = self;
    this.#ports = ports;
  }

  /** Registers the handler. */
  serve(): void {
    this.#ports.network.serve('seal', (message, from) => this.#answer(message, from));
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** The present epoch has ended here and that is in the store. Called twice it goes on as it is. */
  begin(): void {
    const { committee, fold, orderer } = this.#replica;
    if (this.#isStopped || !orderer.isEnded || this.#end?.committee === committee) return;
    this.#end = epochEndOf(this.#chain, committee, fold, orderer.state.last);
    this.#votes.clear();
    this.#own = undefined;
    this.#vote(this.#end)
      .catch((error: unknown) => {
        this.#ports.log.error({ code: codeOf(error) }, 'the end of the epoch could not be signed');
      })
      .finally(() => this.#ask());
  }

  /** Signs once: what is signed is in the store before it is shown. */
  async #vote(end: EpochEnd): Promise<void> {
    const { author } = this.#replica;
    if (author === undefined) return;
    const { store } = this.#ports;
    const key = storeKeys.sealVote(end.committee.epoch);
    const kept = store.get(key);
    const vote = kept
      ? decodeVote(kept)
      : await signCheckpoint(end.checkpoint, author, this.#self.signer);
    if (vote.checkpoint.id !== end.checkpoint.id) {
      this.#ports.log.error({}, 'this node has signed another end of this epoch: it signs none');
      return;
    }
    if (!kept) {
      await store.write([{ type: 'put', key, value: encodeVote(vote) }], { sync: true });
    }
    this.#own = vote;
    this.#note(end, vote);
  }

  #note(end: EpochEnd, vote: Vote): void {
    if (this.#end !== end) return;
    this.#votes.set(vote.author, vote);
    const certificate = formCertificate(end.checkpoint, this.#votes.values(), end.committee);
    if (!certificate) return;
    const committee = nextCommittee(end, end.checkpoint.id);
    this.#finish({ committee, certificate: certificate.bytes });
  }

  #finish(start: Parameters<Replica['enter']>[0]): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#replica.enter(start);
  }

  /** Takes a certificate that came with a range of commits; throws its coded errors. */
  async take(bytes: Uint8Array): Promise<void> {
    const { committee, fold, orderer } = this.#replica;
    const { epoch } = decodeCertificate(bytes).checkpoint;
    if (!orderer.isEnded || epoch !== committee.epoch) return;
    const end = epochEndOf(this.#chain, committee, fold, orderer.state.last);
    this.#finish(await epochStartFrom(end, bytes, this.#ports.verifier));
  }

  get #isWaiting(): boolean {
    const { committee, orderer } = this.#replica;
    return !this.#isStopped && orderer.isEnded && this.#end?.committee === committee;
  }

  #ask(): void {
    if (!this.#isWaiting) return;
    for (const { peer } of this.#ports.network.peers()) void this.#askPeer(peer);
    this.#cancel?.();
    this.#cancel = this.#ports.clock.after(ASK_AGAIN_MS, () => this.#ask());
  }

  async #askPeer(peer: PeerName): Promise<void> {
    const { network, log } = this.#ports;
    const end = this.#end;
    if (!end) return;
    const vote = this.#own && encodeVote(this.#own);
    const message = encode({ epoch: end.committee.epoch, ...(vote && { vote }) });
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: ANSWER_BYTES_MAX };
    try {
      for await (const frame of network.request(peer, 'seal', message, limits)) {
        // an array is a vote, a map the certificate
        if ((frame[0] ?? 0) >> 5 === 4) await this.#takeVote(frame, peer);
        else await this.take(frame);
        if (!this.#isWaiting) return;
      }
    } catch (error) {
      log.debug({ peer, code: codeOf(error) }, 'a peer gave no seal of the epoch');
      network.penalise(peer, codeOf(error));
    }
  }

  /** A vote for the end that waits; one for another is left, with a word in the log. */
  async #takeVote(bytes: Uint8Array, from: PeerName): Promise<void> {
    const end = this.#end;
    const vote = decodeVote(bytes);
    if (!end || !this.#isWaiting || this.#votes.has(vote.author)) return;
    if (vote.checkpoint.epoch !== end.committee.epoch) return;
    const [isValid] = await this.#ports.verifier.verify([voteJob(vote, end.committee)]);
    if (!isValid) {
      this.#ports.network.penalise(from, 'bad_checkpoint_signature');
      return;
    }
    if (vote.checkpoint.id !== end.checkpoint.id) {
      this.#ports.log.error(
        { author: vote.author, epoch: end.committee.epoch },
        'a validator signed another end of the epoch',
      );
      return;
    }
    this.#note(end, vote);
  }

  async *#answer(message: Uint8Array, from: PeerName): AsyncIterable<Uint8Array> {
    const fields = field.fieldsOf(decode(message), KNOWN, 'request for a seal');
    const epoch = field.integerOf(fields, 'epoch', 0, Number.MAX_SAFE_INTEGER);
    const start = this.#replica.epochs.startOf(epoch + 1);
    if (start) {
      yield start.certificate;
      return;
    }
    if (!this.#isWaiting || epoch !== this.#replica.committee.epoch) return;
    if ('vote' in fields) {
      await this.#takeVote(field.bytesOfField(fields, 'vote', FRAME_BYTES_MAX), from);
    }
    for (const vote of [...this.#votes.values()]) yield encodeVote(vote);
  }
}
