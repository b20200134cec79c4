import type { Certifier } from './certifier.ts';
import { Committee } from './committee.ts';
import type { Clock } from './ports.ts';
import type { Replica } from './replica.ts';

/**
 * While an epoch waits for its certificate, all peers are asked for votes after this, and again
 * after twice the time. Votes are gossiped, so this is for what was lost on the way.
 */
const ASK_MS = 250;
const ASK_MS_MAX = 4000;

/**
 * Leads from the end of an epoch into the next (consensus.md 2.10): the replica has folded the last
 * commit, the fold has cut the checkpoint there, the certifier collects a quorum's signatures on
 * it. Nothing of the next epoch is made or looked at before: its blocks at round 0 name that
 * checkpoint. A node that computed another one than the quorum signed stays where it is.
 */
export class EpochGate {
  readonly #replica: Replica;
  readonly #certifier: Certifier;
  readonly #clock: Pick<Clock, 'after'>;
  /** Asks all peers for votes and certificates. */
  readonly #ask: () => void;
  #cancel: (() => void) | undefined;
  #pause_ms = ASK_MS;
  #isStopped = false;

  constructor(
    replica: Replica,
    certifier: Certifier,
    clock: Pick<Clock, 'after'>,
    ask: () => void,
  ) {
    this.#replica = replica;
    this.#certifier = certifier;
    this.#clock = clock;
    this.#ask = ask;
    certifier.onCertified(({ checkpoint }) => {
      if (checkpoint.cut === 'epoch') this.begin();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** Enters the next epoch if this one has ended and is certified; asks until it is. */
  begin(): void {
    const { committee, fold, orderer } = this.#replica;
    if (this.#isStopped || !orderer.isEnded) return;
    const { epoch } = committee;
    const certificate = this.#certifier.endOf(epoch);
    const own = this.#certifier.store.own({ epoch, size: fold.size, cut: 'epoch' });
    if (!certificate) {
      this.#wait();
      return;
    }
    this.#pause_ms = ASK_MS;
    if (own?.id === certificate.checkpoint.id && !this.#certifier.diverged) {
      const next = new Committee(epoch + 1, fold.seats.validators, own.id);
      this.#replica.enter({ committee: next, certificate: certificate.bytes });
    }
  }

  #wait(): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(this.#pause_ms, () => {
      this.#pause_ms = Math.min(ASK_MS_MAX, 2 * this.#pause_ms);
      if (this.#certifier.endOf(this.#replica.committee.epoch)) return;
      this.#ask();
      this.begin();
    });
  }

  /** Takes a certificate that came with a range of commits; throws its coded errors. */
  async take(certificate: Uint8Array): Promise<void> {
    await this.#certifier.takeCertificate(certificate);
    this.begin();
  }
}
