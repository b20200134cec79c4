import { createHash } from 'node:crypto';
import type { StoreOp } from '#ledger/ports.ts';

/** A running hash over all that happens in a run: two runs with equal hashes did the same. */
export class Trace {
  readonly #hash = createHash('sha256');
  events = 0;

  /** Something happened at a virtual time. */
  note(at_ms: number, what: string, bytes?: Uint8Array): void {
    this.events += 1;
    this.#hash.update(`${at_ms} ${what}\n`);
    if (bytes) this.#hash.update(bytes);
  }

  write(at_ms: number, node: string, ops: readonly StoreOp[], sync: boolean): void {
    this.note(at_ms, `${node} writes ${ops.length}${sync ? ' synced' : ''}`);
    for (const op of ops) {
      this.#hash.update(op.key);
      if (op.type === 'put') this.#hash.update(op.value);
    }
  }

  /** The first 16 hex digits of the hash so far. */
  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }
}
