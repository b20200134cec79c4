import type { Signed, Vote } from './certificate.ts';
import { slotName } from './checkpoint.ts';
import type { Checkpoint, CheckpointSlot } from './checkpoint.ts';
import type { Id } from './ports.ts';

/** Votes kept of one author; its oldest gives way. 32 votes are some 120 KB. */
const VOTES_PER_AUTHOR_MAX = 32;
/** Epochs with votes at once: the present one, and the next while this one's end is certified. */
const EPOCHS_MAX = 2;
/** A validator that signs more than two checkpoints of one slot is convicted by two. */
const IDS_PER_AUTHOR_MAX = 2;

/** The valid votes for one checkpoint. */
export interface Tally {
  readonly checkpoint: Checkpoint;
  readonly signatures: ReadonlyMap<number, Signed>;
}

interface OpenTally extends Tally {
  readonly signatures: Map<number, Signed>;
}

/**
 * Valid votes that are not in a certificate yet, by slot and checkpoint. Bounded per author and in
 * the number of epochs.
 */
export class Votes {
  readonly #slots = new Map<string, Map<Id, OpenTally>>();
  /** By epoch and author, in the order in which they came. */
  readonly #byAuthor = new Map<number, Map<number, Vote[]>>();

  /** The checkpoints with votes in a slot. */
  tallies(slot: CheckpointSlot): readonly Tally[] {
    return [...(this.#slots.get(slotName(slot))?.values() ?? [])];
  }

  /** Whether the vote is held, or one more of its author in this slot would say nothing new. */
  isKnown({ checkpoint, author }: Vote): boolean {
    const tallies = this.tallies(checkpoint).filter(({ signatures }) => signatures.has(author));
    return (
      tallies.length >= IDS_PER_AUTHOR_MAX ||
      tallies.some((tally) => tally.checkpoint.id === checkpoint.id)
    );
  }

  /** Adds a verified vote; returns the author's other votes in the slot. */
  add(vote: Vote): Vote[] {
    const { checkpoint, author, sign1 } = vote;
    const { epoch } = checkpoint;
    const others = this.tallies(checkpoint).flatMap((tally) => {
      const signed = tally.signatures.get(author);
      return signed ? [{ checkpoint: tally.checkpoint, ...signed }] : [];
    });
    const name = slotName(checkpoint);
    const slot = this.#slots.get(name) ?? new Map<Id, OpenTally>();
    this.#slots.set(name, slot);
    const tally = slot.get(checkpoint.id) ?? { checkpoint, signatures: new Map<number, Signed>() };
    slot.set(checkpoint.id, tally);
    tally.signatures.set(author, { author, sign1 });
    const authors = this.#byAuthor.get(epoch) ?? new Map<number, Vote[]>();
    this.#byAuthor.set(epoch, authors);
    const own = authors.get(author) ?? [];
    authors.set(author, own);
    own.push(vote);
    if (own.length > VOTES_PER_AUTHOR_MAX) this.#forget(own[0] as Vote);
    if (this.#byAuthor.size > EPOCHS_MAX) {
      const oldest = Math.min(...this.#byAuthor.keys());
      this.drop((held) => held.epoch === oldest);
    }
    return others;
  }

  #forget({ checkpoint, author }: Vote): void {
    const name = slotName(checkpoint);
    const slot = this.#slots.get(name);
    const tally = slot?.get(checkpoint.id);
    tally?.signatures.delete(author);
    if (tally?.signatures.size === 0) slot?.delete(checkpoint.id);
    if (slot?.size === 0) this.#slots.delete(name);
    const authors = this.#byAuthor.get(checkpoint.epoch);
    const left = authors?.get(author)?.filter((one) => one.checkpoint.id !== checkpoint.id) ?? [];
    if (left.length > 0) authors?.set(author, left);
    else authors?.delete(author);
    if (authors?.size === 0) this.#byAuthor.delete(checkpoint.epoch);
  }

  /** Drops the votes of all slots that fit: nobody needs them any more. */
  drop(isDone: (slot: CheckpointSlot) => boolean): void {
    for (const slot of [...this.#slots.values()]) {
      for (const { checkpoint, signatures } of [...slot.values()]) {
        if (!isDone(checkpoint)) break;
        for (const signed of [...signatures.values()]) this.#forget({ checkpoint, ...signed });
      }
    }
  }

  /** Up to `limit` votes, of the largest checkpoints first. */
  newest(limit: number): Vote[] {
    const tallies = [...this.#slots.values()].flatMap((slot) => [...slot.values()]);
    return tallies
      .toSorted((a, b) => b.checkpoint.size - a.checkpoint.size)
      .flatMap(({ checkpoint, signatures }) =>
        [...signatures.values()].map((signed) => ({ checkpoint, ...signed })),
      )
      .slice(0, limit);
  }

  get size(): number {
    let count = 0;
    for (const authors of this.#byAuthor.values()) {
      for (const own of authors.values()) count += own.length;
    }
    return count;
  }
}
