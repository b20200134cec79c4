import { Type } from 'typebox';
import { readNumber, writeNumber } from '#ledger/keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { OrderedEvent, Projection, Rows } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';

/** Bytes of a key as UTF-8. */
export const KEY_BYTES_MAX = 512;
/** Bytes of a value: an event of maximal size has room for the longest key beside it. */
export const VALUE_BYTES_MAX = 60 * 1024;
/** Bytes of a media type: a row keeps the length in one byte. */
const TYPE_BYTES_MAX = 128;

const text = new TextEncoder();

const Key = Type.Refine(
  Type.String({
    minLength: 1,
    maxLength: KEY_BYTES_MAX,
    description: 'UTF-8 text of at most 512 bytes',
  }),
  (key) => text.encode(key).length <= KEY_BYTES_MAX,
);
const Bytes = Type.Refine(
  Type.Unsafe<Uint8Array>({ description: `byte string of at most ${VALUE_BYTES_MAX} bytes` }),
  (value) => value instanceof Uint8Array && value.length <= VALUE_BYTES_MAX,
);
const MediaType = Type.Refine(
  Type.String({ minLength: 1, maxLength: TYPE_BYTES_MAX, description: 'media type of the value' }),
  (type) => text.encode(type).length <= TYPE_BYTES_MAX,
);
const IfSeq = Type.Optional(
  Type.Integer({
    minimum: 0,
    description:
      'applies only if the key was last changed by the final event of this number; ' +
      '0: if there is no key',
  }),
);

/** `kv.put/1`: sets a key. */
export const KvPut = Type.Object(
  {
    key: Key,
    value: Bytes,
    type: Type.Optional(MediaType),
    ifSeq: IfSeq,
  },
  { additionalProperties: false },
);

/** `kv.delete/1`: removes a key; removing one that is not there is no error. */
export const KvDelete = Type.Object({ key: Key, ifSeq: IfSeq }, { additionalProperties: false });

/** A key's value and where it comes from. */
export interface KvEntry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly type?: string;
  /**
   * Number of the event that set it, in the final log or, at the level `accepted`, where it would
   * stand.
   */
  readonly seq: number;
  /** Time of its commit, milliseconds since the Unix epoch. */
  readonly ts_ms: number;
  readonly actor: Id;
}

/** Key-value pairs, last writer in final order wins. Rows: see `encodeRow`. */
export const kv: Projection = {
  name: 'kv',
  version: 1,
  kinds: [
    { kind: 'kv.delete/1', about: 'Removes a key.', body: KvDelete },
    { kind: 'kv.put/1', about: 'Sets a key to a value.', body: KvPut },
  ],

  start: () => undefined,

  apply({ event, seq, ts_ms }: OrderedEvent, rows: Rows): VerdictName {
    const { key, ifSeq } = event.body as { key: string; ifSeq?: number };
    if (ifSeq !== undefined && ifSeq !== (readKey(rows, key)?.seq ?? 0)) return 'kv_precondition';
    if (event.kind === 'kv.delete/1') {
      rows.remove(key);
      return 'applied';
    }
    const { value, type } = event.body as { value: Uint8Array; type?: string };
    rows.put(
      key,
      encodeRow({ value, seq, ts_ms, actor: event.actor, ...(type !== undefined && { type }) }),
    );
    return 'applied';
  },
};

/** The entry of a key, or `undefined`. */
export function readKey(rows: Pick<Rows, 'get'>, key: string): KvEntry | undefined {
  const row = rows.get(key);
  return row && decodeRow(key, row);
}

/**
 * seq (u64), ts_ms (u64), actor (32 bytes), length of the type (u8; 0: none), type, value;
 * big-endian.
 */
const HEAD_BYTES = 8 + 8 + 32 + 1;

function encodeRow({ value, seq, ts_ms, actor, type = '' }: Omit<KvEntry, 'key'>): Uint8Array {
  const typeBytes = text.encode(type);
  const row = new Uint8Array(HEAD_BYTES + typeBytes.length + value.length);
  const view = new DataView(row.buffer);
  writeNumber(view, 0, seq);
  writeNumber(view, 8, ts_ms);
  row.subarray(16, 48).setFromHex(actor);
  row[48] = typeBytes.length;
  row.set(typeBytes, HEAD_BYTES);
  row.set(value, HEAD_BYTES + typeBytes.length);
  return row;
}

/** A row as the store holds it. */
export function decodeRow(key: string, row: Uint8Array): KvEntry {
  const view = new DataView(row.buffer, row.byteOffset);
  const valueAt = HEAD_BYTES + (row[48] as number);
  const type = new TextDecoder().decode(row.subarray(HEAD_BYTES, valueAt));
  return {
    key,
    value: row.subarray(valueAt),
    seq: readNumber(view, 0),
    ts_ms: readNumber(view, 8),
    actor: row.subarray(16, 48).toHex(),
    ...(type !== '' && { type }),
  };
}
