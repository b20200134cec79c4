import { encodeNumber } from '#ledger/keys.ts';
import type { Id, StoreOp } from '#ledger/ports.ts';
import type { Readable } from '#ledger/rows.ts';

/** What stands in a final row before the verdict: the event's id. */
const VERDICT_AT = 32;
const FINAL_ROW_BYTES = 84;

/**
 * What an auditor keeps of the folded state: the rows of projections and replay windows, and of
 * each final event its number and verdict (some 150 bytes). Commits and blocks are not kept.
 */
export class AuditState implements Readable {
  readonly #rows = new Map<string, Uint8Array>();
  readonly #seqs = new Map<Id, number>();
  #verdicts = new Uint16Array(1024);

  /** Rows of projections and replay windows, by their key in a store. */
  get rows(): ReadonlyMap<string, Uint8Array> {
    return this.#rows;
  }

  get(key: string): Uint8Array | undefined {
    if (key.startsWith('e/')) {
      const seq = this.#seqs.get(key.slice(2));
      return seq === undefined ? undefined : encodeNumber(seq);
    }
    if (key.startsWith('f/')) return this.#finalRow(Number.parseInt(key.slice(2), 16));
    return this.#rows.get(key);
  }

  /** Only the verdict is there: nothing else of a final row is read again by a fold. */
  #finalRow(seq: number): Uint8Array {
    const row = new Uint8Array(FINAL_ROW_BYTES);
    new DataView(row.buffer).setUint16(VERDICT_AT, this.#verdicts[seq] ?? 0);
    return row;
  }

  /** Takes over what a fold hands out. */
  take(ops: readonly StoreOp[]): void {
    for (const op of ops) {
      const { key } = op;
      if (key.startsWith('s/') || key.startsWith('w/')) {
        if (op.type === 'put') this.#rows.set(key, op.value);
        else this.#rows.delete(key);
      } else if (key.startsWith('e/') && op.type === 'put') {
        this.#seqs.set(key.slice(2), Number(new DataView(op.value.buffer).getBigUint64(0)));
      } else if (key.startsWith('f/') && op.type === 'put') this.#keepVerdict(key, op.value);
    }
  }

  #keepVerdict(key: string, row: Uint8Array): void {
    const seq = Number.parseInt(key.slice(2), 16);
    if (seq >= this.#verdicts.length) {
      const larger = new Uint16Array(2 * seq);
      larger.set(this.#verdicts);
      this.#verdicts = larger;
    }
    this.#verdicts[seq] = new DataView(row.buffer, row.byteOffset).getUint16(VERDICT_AT);
  }
}
