import type { Certificate, Vote } from './certificate.ts';
import type { CheckpointStore, Divergence } from './checkpoint-store.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Committee } from './committee.ts';
import type { Id, Log } from './ports.ts';
import type { Tally, Votes } from './votes.ts';

export interface DivergenceParts {
  readonly store: Pick<CheckpointStore, 'certificate' | 'accuse'>;
  readonly votes: Pick<Votes, 'tallies'>;
  readonly log: Log;
  committeeOf(epoch: number): Committee | undefined;
  /** Makes nothing final any more, and goes on accepting. Idempotent. */
  haltFinality(): void;
}

/**
 * Compares what this node computed with what others signed, and halts finality where they stand
 * apart: once, for good, also over restarts (consensus.md 2.16).
 */
export class DivergenceAlarm {
  readonly #parts: DivergenceParts;
  #diverged: Divergence | undefined;

  /** `held`: what was found before the last start. */
  constructor(parts: DivergenceParts, held: Divergence | undefined) {
    this.#parts = parts;
    this.#diverged = held;
    if (!held) return;
    parts.haltFinality();
    parts.log.error(held, 'finality is halted: this node stands apart from others');
  }

  /** Set when this node and others computed different checkpoints. */
  get diverged(): Divergence | undefined {
    return this.#diverged;
  }

  /** Raised when f + 1 validators, or a certificate, say otherwise than this node. */
  async compare(
    own: Checkpoint,
    certificate = this.#parts.store.certificate(own),
  ): Promise<void> {
    const committee = this.#parts.committeeOf(own.epoch);
    if (!committee || this.#diverged) return;
    if (certificate && certificate.checkpoint.id !== own.id) {
      await this.raise(own, certificate.checkpoint.id, votesOf(certificate));
      return;
    }
    for (const tally of this.#parts.votes.tallies(own)) {
      const stake = committee.stakeOf(tally.signatures.keys());
      if (tally.checkpoint.id === own.id || stake < committee.validity) continue;
      await this.raise(own, tally.checkpoint.id, votesOf(tally));
      return;
    }
  }

  /** `votes`: the evidence, which is kept with the alarm, synced. */
  async raise(own: Checkpoint, theirs: Id, votes: readonly Vote[]): Promise<void> {
    if (this.#diverged) return;
    const { epoch, size, cut } = own;
    this.#diverged = { epoch, size, cut, own: own.id, theirs };
    this.#parts.haltFinality();
    this.#parts.log.error(
      this.#diverged,
      'finality is halted: this node computed another checkpoint than others signed',
    );
    await this.#parts.store.accuse(votes, this.#diverged);
  }
}

/** The single votes that a certificate or a tally holds. */
export function votesOf(of: Tally | Certificate): Vote[] {
  const { checkpoint } = of;
  return [...of.signatures.values()].map((signed) => ({ checkpoint, ...signed }));
}
