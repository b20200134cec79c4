import type { Signed, Vote } from './certificate.ts';
import { slotName } from './checkpoint.ts';
import type { Checkpoint, CheckpointSlot } from './checkpoint.ts';
import type { Id } from './ports.ts';

/** Votes kept of one author; its oldest gives way. 32 votes are some 120 KB. */
const VOTES_PER_AUTHOR_MAX = 32;
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

/** Valid votes that are not in a certificate yet, by slot and checkpoint. Bounded per author. */
export class Votes {
  readonly #slots = new Map<string, Map<Id, OpenTally>>();
  readonly #byAuthor = new Map<string, Vote[]>();

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
    const key = `${epoch}/${author}`;
    const own = this.#byAuthor.get(key) ?? [];
    this.#byAuthor.set(key, own);
    own.push(vote);
    if (own.length > VOTES_PER_AUTHOR_MAX) this.#forget(own[0] as Vote);
    return others;
  }

  #forget({ checkpoint, author }: Vote): void {
    const name = slotName(checkpoint);
    const slot = this.#slots.get(name);
    const tally = slot?.get(checkpoint.id);
    tally?.signatures.delete(author);
    if (tally?.signatures.size === 0) slot?.delete(checkpoint.id);
    if (slot?.size === 0) this.#slots.delete(name);
    const key = `${checkpoint.epoch}/${author}`;
    const left = this.#byAuthor.get(key)?.filter((one) => {
      return one.checkpoint.id !== checkpoint.id || one.author !== author;
    });
    if (left && left.length > 0) this.#byAuthor.set(key, left);
    else this.#byAuthor.delete(key);
  }

  /** Drops the votes of a slot: it is certified. */
  drop(slot: CheckpointSlot): void {
    for (const { checkpoint, signatures } of this.tallies(slot)) {
      for (const signed of signatures.values()) this.#forget({ checkpoint, ...signed });
    }
  }

  /** Drops the votes of an epoch: it is closed. */
  dropEpoch(epoch: number): void {
    for (const votes of [...this.#byAuthor.values()]) {
      for (const vote of votes) if (vote.checkpoint.epoch === epoch) this.#forget(vote);
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
    for (const own of this.#byAuthor.values()) count += own.length;
    return count;
  }
}
