import type { Place } from '#ledger/audit/place.ts';
import type { Id } from '#ledger/ports.ts';

/** Kinds of units as numbers, for the threads. */
export const UNIT = { key: 0, header: 1, body: 2 } as const;
/** Numbers per unit in `Chunk.units`. */
export const UNIT_FIELDS = 4;

/** A piece of the log that one thread checks as a whole: keys, and headers followed by bodies. */
export interface Chunk {
  /** Given away to a thread and back; owned by nobody else. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /**
   * Per unit: its kind, where its id's 32 bytes stand or -1 where it has none, start and end of
   * its content.
   */
  readonly units: Int32Array;
  /** The place of each unit. */
  readonly places: readonly Place[];
  /** The COSE_Keys that the bodies need, each after its id (`KeyShelf.pack`). */
  readonly keys: Uint8Array<ArrayBuffer>;
  /** The epoch of all its blocks, as the source says: what a block's header says is checked. */
  readonly epoch: number;
  /** How far the source is after this chunk, in its own unit. */
  readonly done: number;
}

/** What a thread says of one block. */
export interface BlockResult {
  readonly epoch: number;
  readonly round: number;
  readonly author: number;
  readonly id: Id;
  readonly ts_ms: number;
  /** Round, author and id of each parent. */
  readonly parents: readonly (readonly [number, number, Id])[];
  /** Index of the header's unit. */
  readonly unit: number;
  readonly count: number;
  readonly signatures: number;
}

/** A thread's answer: all blocks up to the first that is wrong. */
export interface ChunkResult {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly blocks: readonly BlockResult[];
  /** Per entry of all blocks: 32 bytes of id. */
  readonly ids: Uint8Array<ArrayBuffer>;
  /** Per entry of all blocks: start and end of the event in `bytes`. */
  readonly events: Int32Array<ArrayBuffer>;
  readonly failure:
    | {
        readonly unit: number;
        readonly code: string;
        readonly message: string;
        readonly data: object;
      }
    | undefined;
}

/** Where chunks come from. */
export interface ChunkSource {
  /** What `done` counts up to. */
  readonly total: number;
  readonly unit: 'bytes' | 'blocks';
  /** In order; throws findings with their place, after all chunks before it were given. */
  chunks(): AsyncIterable<Chunk>;
}
