import { COSE_KEY_BYTES } from '#ledger/cose.ts';
import type { Id } from '#ledger/ports.ts';

const ID_BYTES = 32;
/** A key and its id as threads get them. */
export const KEY_ROW_BYTES = ID_BYTES + COSE_KEY_BYTES;
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

  /** Rows of 32 bytes of id and the key, to be given away. */
  pack(ids: ReadonlySet<Id>): Uint8Array<ArrayBuffer> {
    const packed = new Uint8Array(ids.size * KEY_ROW_BYTES);
    let at = 0;
    for (const id of ids) {
      packed.subarray(at).setFromHex(id);
      packed.set(this.#get(id).subarray(0, COSE_KEY_BYTES), at + ID_BYTES);
      at += KEY_ROW_BYTES;
    }
    return packed;
  }
}
