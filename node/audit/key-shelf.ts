import { COSE_KEY_BYTES } from '#ledger/cose.ts';
import type { Id } from '#ledger/ports.ts';

/** Keys held in memory: 16 MB. Others are read again from where they stand. */
const KEYS_MAX = 8192;

/** The COSE_Keys that blocks need, of which the ones used last are held. */
export class KeyShelf {
  readonly #held = new Map<Id, Uint8Array>();
  readonly #read: (id: Id) => Uint8Array;

  /** `read` finds a key that is not held; it throws findings. */
  constructor(read: (id: Id) => Uint8Array) {
    this.#read = read;
  }

  /** Holds a copy. */
  add(id: Id, key: Uint8Array): void {
    this.#hold(id, key.slice());
  }

  #hold(id: Id, key: Uint8Array): void {
    if (this.#held.size >= KEYS_MAX) {
      for (const oldest of this.#held.keys()) {
        this.#held.delete(oldest);
        break;
      }
    }
    this.#held.set(id, key);
  }

  #get(id: Id): Uint8Array {
    const held = this.#held.get(id);
    if (held) return held;
    const key = this.#read(id);
    this.#hold(id, key);
    return key;
  }

  /** The keys one after the other, to be given away. */
  pack(ids: ReadonlySet<Id>): Uint8Array<ArrayBuffer> {
    const packed = new Uint8Array(ids.size * COSE_KEY_BYTES);
    let at = 0;
    for (const id of ids) {
      packed.set(this.#get(id).subarray(0, COSE_KEY_BYTES), at);
      at += COSE_KEY_BYTES;
    }
    return packed;
  }
}
