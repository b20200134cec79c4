import type { Signed, Vote } from './certificate.ts';
import { slotName } from './checkpoint.ts';
import type { Checkpoint, CheckpointSlot } from './checkpoint.ts';
import type { Id } from './ports.ts';

/** Votes kept of one author; its oldest gives way. 32 votes are some 120 KB. */
const VOTES_PER_AUTHOR_MAX = 32;
/**
 * Of those at most so many lie far beyond what this node has folded: a node that is behind needs no
 * more of them, and a liar may choose any size.
 */
const FAR_PER_AUTHOR_MAX = 2;
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

  /**
   * Adds a verified vote; returns the author's other votes in the slot. What is larger than `near`
   * lies far ahead of this node.
   */
  add(vote: Vote, near = Number.MAX_SAFE_INTEGER): Vote[] {
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
    const far = own.filter((one) => one.checkpoint.size > near);
    if (far.length > FAR_PER_AUTHOR_MAX) this.#forget(far[0] as Vote);
    else if (own.length > VOTES_PER_AUTHOR_MAX) this.#forget(own[0] as Vote);
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
    for (const slot of this.#slots.values()) {
      for (const { checkpoint, signatures } of slot.values()) {
        if (!isDone(checkpoint)) break;
        for (const signed of signatures.values()) this.#forget({ checkpoint, ...signed });
      }
    }
  }

  /** The votes for exactly this checkpoint, that of `author` first. */
  on(checkpoint: Checkpoint, author?: number): Vote[] {
    const tally = this.#slots.get(slotName(checkpoint))?.get(checkpoint.id);
    return [...(tally?.signatures.values() ?? [])]
      .map((signed) => ({ checkpoint, ...signed }))
      .toSorted((a, b) => Number(b.author === author) - Number(a.author === author));
  }

  /**
   * Up to `limit` votes for a peer: these first, then one of each author in turn, its newest first,
   * so that no author's votes crowd out those of others. Of the newest epoch first.
   */
  give(first: readonly Vote[], limit: number): Vote[] {
    const given = new Map<string, Vote>();
    const give = (vote: Vote | undefined): void => {
      if (!vote || given.size >= limit) return;
      given.set(`${vote.checkpoint.id}/${vote.author}`, vote);
    };
    for (const vote of first) give(vote);
    const epochs = [...this.#byAuthor].toSorted(([a], [b]) => b - a);
    const lists = epochs.flatMap(([, authors]) => [...authors.values()]);
    for (let turn = 1; turn <= VOTES_PER_AUTHOR_MAX && given.size < limit; turn++) {
      for (const votes of lists) give(votes.at(-turn));
    }
    return [...given.values()];
  }

  get size(): number {
    let count = 0;
    for (const authors of this.#byAuthor.values()) {
      for (const own of authors.values()) count += own.length;
    }
    return count;
  }
}
