import { hash } from 'node:crypto';
import { equalBytes } from './ids.ts';

/**
 * A digest of a set of (key, value) rows that changes with the rows instead of being computed anew:
 * LtHash-16-1024 (Bellare and Micciancio 1997; Lewi et al., "Securing Update Propagation with
 * Homomorphic Hashing", 2019) over SHAKE128. Each row is hashed to 1,024 sixteen-bit lanes; the
 * digest is their sum. Finding two sets of the same sum is a short-vector problem in lattices, so
 * it fits the other post-quantum choices. It does not prove single rows.
 *
 * Changes are collected and folded in by `root` or `bytes`: a row changed often between two roots
 * costs once.
 */

const LANES = 1024;
const BYTES = 2 * LANES;
const text = new TextEncoder();

interface Change {
  /** The row as it is in the sum. */
  readonly before: Uint8Array | undefined;
  after: Uint8Array | undefined;
}

export class StateHash {
  readonly #sum: Uint16Array;
  readonly #changes = new Map<string, Change>();
  #isUnsaved = false;

  /** Goes on from what `bytes` gave, or starts with no rows. */
  constructor(bytes?: Uint8Array) {
    this.#sum = new Uint16Array(LANES);
    if (bytes) new Uint8Array(this.#sum.buffer).set(bytes.subarray(0, BYTES));
  }

  /**
   * A row changes from `before` to `after`; `undefined` is no row. `before` is what was said last
   * of this key.
   */
  replace(key: string, before: Uint8Array | undefined, after: Uint8Array | undefined): void {
    this.#isUnsaved = true;
    const change = this.#changes.get(key);
    if (change) change.after = after;
    else this.#changes.set(key, { before, after });
  }

  /** Whether there are changes since the last `bytes`. */
  get isChanged(): boolean {
    return this.#isUnsaved;
  }

  /** The sum, 2,048 bytes, to keep. */
  bytes(): Uint8Array {
    this.#fold();
    this.#isUnsaved = false;
    return new Uint8Array(this.#sum.buffer.slice(0));
  }

  /** SHA-256 of the sum, 32 bytes. */
  root(): Uint8Array {
    this.#fold();
    return hash('sha256', new Uint8Array(this.#sum.buffer), 'buffer');
  }

  #fold(): void {
    for (const [key, { before, after }] of this.#changes) {
      if (before && after && equalBytes(before, after)) continue;
      const name = text.encode(key);
      if (before) addRow(this.#sum, name, before, -1);
      if (after) addRow(this.#sum, name, after, 1);
    }
    this.#changes.clear();
  }
}

/**
 * The row is framed as length of key (u32, little-endian) ‖ key ‖ value; lanes are little-endian as
 * on every Node platform.
 */
function addRow(sum: Uint16Array, key: Uint8Array, value: Uint8Array, sign: 1 | -1): void {
  const row = new Uint8Array(4 + key.length + value.length);
  new DataView(row.buffer).setUint32(0, key.length, true);
  row.set(key, 4);
  row.set(value, 4 + key.length);
  const digest: Uint8Array = hash('shake128', row, {
    outputEncoding: 'buffer',
    outputLength: BYTES,
  });
  const isAligned = digest.byteOffset % 2 === 0;
  const lanes = isAligned
    ? new Uint16Array(digest.buffer, digest.byteOffset, LANES)
    : new Uint16Array(Uint8Array.from(digest).buffer);
  for (let i = 0; i < LANES; i++) sum[i] = (sum[i] as number) + sign * (lanes[i] as number);
}
