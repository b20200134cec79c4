import { REPLAY, stateRootOf } from '#ledger/fold.ts';
import { bytesOf, compareBytes, equalBytes } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import { MerkleLog } from '#ledger/merkle.ts';
import type { Hash } from '#ledger/merkle.ts';
import { finalLeaf } from '#ledger/log-tree.ts';
import type { Id, StoreOp } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { StateHash } from '#ledger/state-hash.ts';
import { bad } from './check.ts';
import { LEAF_BYTES } from './format.ts';
import type { Row, SnapshotHead } from './format.ts';

/** Leaves of the log as they come, from a snapshot's base on. */
export class LeafCheck {
  readonly #head: SnapshotHead;
  readonly log: MerkleLog;

  constructor(head: SnapshotHead) {
    this.#head = head;
    this.log = new MerkleLog(head.base, head.peaks);
  }

  get isWhole(): boolean {
    return this.log.size === this.#head.certificate.checkpoint.size;
  }

  /** Takes some; `leaf` hears of each, `node` of the subtrees that it completes. */
  take(
    frame: Uint8Array,
    leaf: (seq: number, id: Id, verdict: number) => void = () => undefined,
    node: (level: number, index: number, hash: Hash) => void = () => undefined,
  ): void {
    const count = frame.length / LEAF_BYTES;
    const { size } = this.#head.certificate.checkpoint;
    if (!Number.isInteger(count) || count === 0 || this.log.size + count > size) {
      bad('Leaves have the wrong length.');
    }
    const view = new DataView(frame.buffer, frame.byteOffset);
    for (let at = 0; at < frame.length; at += LEAF_BYTES) {
      const id = frame.subarray(at, at + 32).toHex();
      const verdict = view.getUint16(at + 32);
      this.log.append(finalLeaf(id, verdict), node);
      leaf(this.log.size, id, verdict);
    }
  }

  /** Throws `bad_snapshot` unless all leaves came and give the certified root. */
  finish(): void {
    const { root } = this.#head.certificate.checkpoint;
    if (!this.isWhole || !equalBytes(this.log.root(), bytesOf(root))) {
      bad("The leaves do not give the log's certified root.");
    }
  }
}

/** Rows of the state as they come, in the order of their keys. */
export class RowCheck {
  readonly #head: SnapshotHead;
  readonly #schema: Schema;
  readonly #hashes: ReadonlyMap<string, StateHash>;
  #lastKey = '';
  #rows = 0;
  #bytes = 0;

  constructor(head: SnapshotHead, schema: Schema) {
    this.#head = head;
    this.#schema = schema;
    const names = [REPLAY, ...schema.projections.map(({ name }) => name)];
    this.#hashes = new Map(names.map((name) => [name, new StateHash()] as const));
  }

  take(rows: readonly Row[]): void {
    if (rows.length === 0) bad('A chunk without rows.');
    for (const [key, value] of rows) {
      if (compareText(key, this.#lastKey) <= 0) bad('Rows are not in order.');
      this.#lastKey = key;
      this.#rows += 1;
      this.#bytes += key.length + value.length;
      const [name, inner] = placeOf(key);
      const hash = this.#hashes.get(name) ?? bad('A row of a projection that is not active.');
      hash.replace(inner, undefined, value);
    }
    // collected changes are folded in, so that memory stays that of one chunk
    for (const hash of this.#hashes.values()) hash.root();
    if (this.#rows > this.#head.rows || this.#bytes > this.#head.bytes) bad('More than promised.');
  }

  /** Throws `bad_snapshot` unless the rows give the certified state; returns their digests. */
  finish(): StoreOp[] {
    const root = (name: string) => this.#hashes.get(name) as StateHash;
    const projections = this.#schema.projections.map(({ name, version }) => ({
      name,
      version,
      root: root(name).root().toHex(),
    }));
    const state = stateRootOf(projections, root(REPLAY).root());
    if (state !== this.#head.certificate.checkpoint.state) {
      bad('The rows do not give the certified state.');
    }
    return [...this.#hashes].map(([name, hash]) => {
      return { type: 'put', key: storeKeys.stateHash(name), value: hash.bytes() };
    });
  }
}

/** The digest that a row is part of, and its key there (`rows.ts`). */
function placeOf(key: string): readonly [name: string, inner: string] {
  if (key.startsWith('w/')) return [REPLAY, key];
  const end = key.indexOf('/', 2);
  if (!key.startsWith('s/') || end < 0) return bad('A row that is no state.');
  const name = key.slice(2, end);
  return name === REPLAY ? bad('A row that is no state.') : [name, key.slice(end + 1)];
}

const text = new TextEncoder();

/** As a store sorts: by UTF-8 bytes. */
function compareText(a: string, b: string): number {
  return compareBytes(text.encode(a), text.encode(b));
}
