import { slotName } from './checkpoint.ts';
import type { Checkpoint, CheckpointSlot } from './checkpoint.ts';
import type { CheckpointStore } from './checkpoint-store.ts';

/** Own checkpoints at hand: those that wait for a certificate. */
const OPEN_MAX = 64;

/** The checkpoints that this node computed; at hand are those that wait for a certificate. */
export class OwnCheckpoints {
  readonly #store: CheckpointStore;
  readonly #open = new Map<string, Checkpoint>();

  /** `held`: the newest ones in the store, in the order of their cuts. */
  constructor(store: CheckpointStore, held: readonly Checkpoint[]) {
    this.#store = store;
    for (const checkpoint of held) this.add(checkpoint);
  }

  /** A new one, which is in the store; the oldest gives way, the end of an epoch does not. */
  add(checkpoint: Checkpoint): void {
    this.#open.set(slotName(checkpoint), checkpoint);
    if (this.#open.size <= OPEN_MAX) return;
    for (const [name, { cut }] of this.#open) {
      if (cut === 'epoch') continue;
      this.#open.delete(name);
      return;
    }
  }

  /** The one of a slot, however old. */
  in(slot: CheckpointSlot): Checkpoint | undefined {
    return this.#open.get(slotName(slot)) ?? this.#store.own(slot);
  }

  /** Those that no certificate covers, in the order of their cuts. */
  get waiting(): Checkpoint[] {
    return [...this.#open.values()].filter((checkpoint) => !this.isSuperseded(checkpoint));
  }

  /** How many events the largest one at hand covers. */
  get top(): number {
    return Math.max(0, ...[...this.#open.values()].map(({ size }) => size));
  }

  /**
   * Whether nobody needs a vote for a checkpoint of this slot: it, or a later one, is certified; an
   * epoch's end needs them whatever covers it.
   */
  isSuperseded(slot: CheckpointSlot): boolean {
    if (this.#store.certificate(slot) || this.#store.isClosed(slot.epoch)) return true;
    const covered = this.#store.latest?.checkpoint.size ?? 0;
    return slot.cut === 'epoch' ? false : slot.size <= covered;
  }

  /** A certificate is new: what it covers need not be at hand. */
  forgetCovered(): void {
    for (const [name, checkpoint] of this.#open) {
      if (this.isSuperseded(checkpoint)) this.#open.delete(name);
    }
  }
}
