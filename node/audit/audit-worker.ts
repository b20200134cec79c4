/**
 * The thread behind `Crew`: says `{ engine }` once loaded, then answers each chunk with what it
 * holds. All that a block's own bytes decide is decided here: ids, form, payload root, key table,
 * every signature.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { checkBlock } from '#ledger/audit/check-block.ts';
import type { CheckTools, CheckedBlock } from '#ledger/audit/check-block.ts';
import { openChain } from '#ledger/chain.ts';
import { Committee } from '#ledger/committee.ts';
import { publicKeyOf } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { idOf } from '#ledger/ids.ts';
import type { Id, SignatureJob } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { UNIT, UNIT_FIELDS } from './chunks.ts';
import type { BlockResult, Chunk, ChunkResult } from './chunks.ts';
import type { NewSeats } from './crew.ts';
import { KEY_ROW_BYTES } from './key-shelf.ts';

const port = parentPort ?? fail('engine_failed', 'Start audit-worker.ts as a worker thread only');
const chain = openChain(workerData.genesis);
const engine = await loadEngine(workerData.engine);
const ID_BYTES = 32;
/** The committee of the epoch that is checked now. */
let committee = chain.committee;

class ChunkCheck {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #units: Int32Array;
  readonly #tools: CheckTools;
  readonly #blocks: BlockResult[] = [];
  readonly #ids: Id[] = [];
  readonly #events: number[] = [];
  /** The unit under way. */
  #unit = 0;

  constructor({ bytes, units, keys }: Pick<Chunk, 'bytes' | 'units' | 'keys'>) {
    this.#bytes = bytes;
    this.#units = units;
    const known = new Map<Id, Uint8Array>();
    for (let at = 0; at < keys.length; at += KEY_ROW_BYTES) {
      const id = keys.subarray(at, at + ID_BYTES).toHex();
      known.set(id, keys.subarray(at + ID_BYTES, at + KEY_ROW_BYTES));
    }
    const verify = (job: SignatureJob) => engine.verify(job);
    const keyOf = (id: Id) => known.get(id);
    this.#tools = { chain: chain.id, committees: committee, keyOf, verify };
  }

  run(): ChunkResult {
    let failure: ChunkResult['failure'];
    try {
      const count = this.#units.length / UNIT_FIELDS;
      for (this.#unit = 0; this.#unit < count; ) {
        const unit = this.#unit;
        if (this.#kind(unit) === UNIT.key) this.#checkKey(unit);
        else this.#checkBlock(unit);
        this.#unit += this.#kind(unit) === UNIT.key ? 1 : 2;
      }
    } catch (error) {
      if (!(error instanceof X0tError)) throw error;
      const { code, message, data } = error;
      const unit = this.#unit + (data['kind'] === 'body' ? 1 : 0);
      failure = { unit, code, message, data };
    }
    const ids = new Uint8Array(this.#ids.length * ID_BYTES);
    for (const [i, id] of this.#ids.entries()) ids.subarray(i * ID_BYTES).setFromHex(id);
    const events = Int32Array.from(this.#events);
    return { bytes: this.#bytes, blocks: this.#blocks, ids, events, failure };
  }

  #kind(unit: number): number {
    return this.#units[unit * UNIT_FIELDS] as number;
  }

  #content(unit: number): Uint8Array {
    const at = unit * UNIT_FIELDS;
    return this.#bytes.subarray(this.#units[at + 2], this.#units[at + 3]);
  }

  #id(unit: number): Id | undefined {
    const at = this.#units[unit * UNIT_FIELDS + 1] as number;
    return at < 0 ? undefined : this.#bytes.subarray(at, at + ID_BYTES).toHex();
  }

  #checkKey(unit: number): void {
    const key = this.#content(unit);
    if (idOf(key) !== this.#id(unit)) {
      fail('car_cid_mismatch', "A key's content does not hash to its CID.", { kind: 'key' });
    }
    publicKeyOf(key);
  }

  #checkBlock(unit: number): void {
    const bytes = {
      header: this.#content(unit),
      headerId: this.#id(unit) ?? '',
      body: this.#content(unit + 1),
      bodyId: this.#id(unit + 1),
    };
    this.#note(unit, checkBlock(bytes, this.#tools));
  }

  #note(unit: number, { block, signatures }: CheckedBlock): void {
    const { ref, header, entries } = block;
    const parents = header.parents.map(({ round, author, id }) => [round, author, id] as const);
    const { epoch, ts_ms } = header;
    this.#blocks.push({ ...ref, epoch, ts_ms, parents, unit, count: entries.length, signatures });
    for (const { id, eventBytes } of entries) {
      this.#ids.push(id);
      const start = eventBytes.byteOffset - this.#bytes.byteOffset;
      this.#events.push(start, start + eventBytes.length);
    }
  }
}

port.on('message', (chunk: Pick<Chunk, 'bytes' | 'units' | 'keys'> | NewSeats) => {
  if ('validators' in chunk) {
    committee = new Committee(chunk.epoch, chunk.validators, chunk.base);
    return;
  }
  const result = new ChunkCheck(chunk).run();
  const { bytes, ids, events } = result;
  port.postMessage(result, [bytes.buffer, ids.buffer, events.buffer]);
});
port.postMessage({ engine: engine.engine });
