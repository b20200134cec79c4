import type { Ref } from './header.ts';
import { storeKeys } from './keys.ts';
import type { Log, StoreOp } from './ports.ts';

/**
 * Whether this node remembers all that it has signed. A store that was lost or set back does not:
 * the node then only follows (consensus.md 2.12). Kept in the store: a later start must know it
 * too.
 */
export class OwnMemory {
  readonly #log: Log;
  #isLost: boolean;

  constructor(isLost: boolean, log: Log) {
    this.#isLost = isLost;
    this.#log = log;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** A peer holds an own block that is not known here; false where that is no news. */
  lose(ref: Ref, ops: StoreOp[]): boolean {
    if (this.#isLost) return false;
    this.#isLost = true;
    ops.push(
      { type: 'put', key: storeKeys.lost, value: Uint8Array.of(1) },
      { type: 'del', key: storeKeys.returning },
    );
    const message = 'peers hold an own block that this store has lost: this node only follows now';
    this.#log.error(ref, message);
    return true;
  }

  /** Another store was taken over; what one has lost stays lost. */
  takeOver(isLost: boolean): void {
    this.#isLost ||= isLost;
  }

  /** An epoch begins in which this node has signed nothing. */
  regain(ops: StoreOp[]): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    ops.push({ type: 'del', key: storeKeys.lost }, { type: 'del', key: storeKeys.returning });
  }
}
