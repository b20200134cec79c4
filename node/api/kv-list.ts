import { Type } from 'typebox';
import type { Level } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import { KEY_BYTES_MAX, decodeRow, readKey } from '#projections/kv.ts';
import type { KvEntry } from '#projections/kv.ts';
import { CURSOR_CHARS, Cursors } from './cursors.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const LIMIT = 100;
const LIMIT_MAX = 1000;
/** Keys that a caller may not read: after so many the page ends, also an empty one. */
const LEFT_OUT_MAX = 10_000;
/** Bytes of values in one answer, so that a page of large values stays small. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;

const Query = Type.Object(
  {
    prefix: Type.Optional(Type.String({ maxLength: KEY_BYTES_MAX })),
    after: Type.Optional(
      Type.String({ maxLength: CURSOR_CHARS, description: 'the `next` of the page before' }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
    level: Type.Optional(schemas.LevelName),
  },
  { additionalProperties: false },
);
const Item = Type.Object({
  key: Type.String(),
  value: Type.String({ description: 'base64' }),
  type: Type.Optional(Type.String()),
  seq: schemas.Seq,
  ts_ms: Type.Integer(),
  actor: schemas.ActorId,
});
const Page = Type.Object(
  {
    ...schemas.READ_PROPERTIES,
    entries: Type.Array(Item),
    next: Type.Optional(Type.String({ description: 'there may be more: pass it as `after`' })),
  },
  { description: 'Keys in the order of their UTF-8 bytes' },
);

/** `/v1/kv?prefix=`: pages of keys with their values. */
export async function kvListRoutes(app: Api, parts: LedgerParts): Promise<void> {
  const cursors = new Cursors();
  app.get(
    '/v1/kv',
    {
      schema: {
        operationId: 'listKeys',
        summary: 'Keys by prefix, with their values',
        tags: ['kv'],
        querystring: Query,
        response: { 200: Page, default: schemas.ErrorReply },
      },
    },
    async (asked) => {
      const { query } = asked;
      const { prefix = '', after: given, limit = LIMIT, level = 'final' } = query;
      const isCursor = given !== undefined && given.length > KEY_BYTES_MAX;
      const after = isCursor ? cursors.open(given, prefix) : given;
      if (after !== undefined && !after.startsWith(prefix)) {
        fail('bad_request', 'after is a key of this listing: it starts with the prefix.', {
          prefix,
        });
      }
      const read = parts.view.of(level);
      const entries: object[] = [];
      const mayRead = parts.keysFor?.(asked) ?? (() => true);
      let bytes = 0;
      let left = 0;
      let last: string | undefined;
      for await (const { value, ...rest } of entriesOf(parts, prefix, after, level)) {
        if (!mayRead(rest.key)) {
          if ((left += 1) < LEFT_OUT_MAX) continue;
          return { ...read, entries, next: cursors.seal(rest.key, prefix) } as never;
        }
        bytes += value.length;
        if (entries.length === limit || (bytes > PAGE_BYTES_MAX && entries.length > 0)) {
          return { ...read, entries, next: last } as never;
        }
        entries.push({ ...rest, value: Buffer.from(value).toString('base64') });
        last = rest.key;
      }
      return { ...read, entries } as never;
    },
  );
}

/** Entries with the prefix, after a key, in the order of their keys' bytes. */
function entriesOf(
  parts: LedgerParts,
  prefix: string,
  after: string | undefined,
  level: Level,
): AsyncIterable<KvEntry> {
  const gte = storeKeys.row('kv', after === undefined ? prefix : `${after}\0`);
  const finals = finalEntries(parts, gte, successorOf(storeKeys.row('kv', prefix)));
  if (level === 'final') return finals;
  const isWanted = (key: string): boolean =>
    key.startsWith(prefix) && (after === undefined || compareText(key, after) > 0);
  return merged(finals, touchedKeys(parts, isWanted), parts);
}

async function* finalEntries(
  { store }: LedgerParts,
  gte: string,
  lt: string,
): AsyncIterable<KvEntry> {
  const start = storeKeys.row('kv', '').length;
  for await (const [key, row] of store.range({ gte, lt })) yield decodeRow(key.slice(start), row);
}

/** The keys that events change which are not final, sorted. */
function touchedKeys({ view }: LedgerParts, isWanted: (key: string) => boolean): string[] {
  const keys = new Set<string>();
  for (const { event } of view.pending()) {
    const { key } = event.body;
    if (!event.kind.startsWith('kv.') || typeof key !== 'string') continue;
    if (isWanted(key)) keys.add(key);
  }
  return [...keys].toSorted(compareText);
}

/** Both in one order; a touched key is read at the level `accepted`, where it may be gone. */
async function* merged(
  finals: AsyncIterable<KvEntry>,
  touched: readonly string[],
  { core }: LedgerParts,
): AsyncIterable<KvEntry> {
  const rows = core.rows('kv', 'accepted');
  const isTouched = new Set(touched);
  let at = 0;
  function* touchedBefore(key: string | undefined): Iterable<KvEntry> {
    for (; at < touched.length; at++) {
      const next = touched[at] as string;
      if (key !== undefined && compareText(next, key) > 0) return;
      const entry = readKey(rows, next);
      if (entry) yield entry;
    }
  }
  for await (const final of finals) {
    yield* touchedBefore(final.key);
    if (!isTouched.has(final.key)) yield final;
  }
  yield* touchedBefore(undefined);
}

/** As the store sorts: by UTF-8 bytes. */
function compareText(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The least text after all that start with `prefix`: its last code point raised by one. */
export function successorOf(prefix: string): string {
  const points = Array.from(prefix, (char) => char.codePointAt(0) as number);
  // no text starts with what follows the last code point: raise the one before
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop() as number;
  // UTF-16 surrogates are no characters
  points.push(last === 0xd7ff ? 0xe000 : last + 1);
  return String.fromCodePoint(...points);
}
