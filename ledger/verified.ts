import type { Hash } from './merkle.ts';

/** Remembered signatures. Each costs about 150 bytes. */
const SIZE_MAX = 32_768;

/**
 * Entries whose signature was found valid, by the hash of their leaf. The leaf holds the event and
 * the signature, and the event names the key by its hash, so this is the key (object, signature,
 * key) that wire.md asks for. What is invalid is not remembered.
 */
export class VerifiedEntries {
  readonly #leaves = new Set<string>();

  has(leaf: Hash): boolean {
    return this.#leaves.size > 0 && this.#leaves.has(leaf.toHex());
  }

  add(leaf: Hash): void {
    if (this.#leaves.size >= SIZE_MAX) {
      for (const oldest of this.#leaves) {
        this.#leaves.delete(oldest);
        break;
      }
    }
    this.#leaves.add(leaf.toHex());
  }
}
