import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Level } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { textOf } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX, decodeRow, readKey } from '#projections/kv.ts';
import type { KvEntry } from '#projections/kv.ts';
import { etagOf, ifSeqOf, mediaTypeOf } from './kv-headers.ts';
import type { Api, LedgerParts } from './parts.ts';
import { linksOf } from './render.ts';
import * as schemas from './schemas.ts';

/** How long `wait=final` waits unless the caller says otherwise, and at most. */
const TIMEOUT_MS = 10_000;
const TIMEOUT_MS_MAX = 60_000;

const Params = Type.Object({
  '*': Type.String({
    minLength: 1,
    maxLength: KEY_BYTES_MAX,
    description: 'the key, percent-encoded UTF-8; slashes may stand as they are',
  }),
});
const WriteQuery = Type.Object(
  {
    wait: Type.Optional(Type.Enum(['accepted', 'final'], { description: 'what to answer for' })),
    timeout_ms: Type.Optional(
      Type.Integer({ minimum: 1, maximum: TIMEOUT_MS_MAX, description: 'with wait=final' }),
    ),
    ifSeq: Type.Optional(
      Type.Integer({ minimum: 0, description: 'as If-Match; 0: if there is no such key' }),
    ),
  },
  { additionalProperties: false },
);
const ReadQuery = Type.Object(
  { level: Type.Optional(schemas.LevelName) },
  { additionalProperties: false },
);

const Accepted = Type.Object(
  {
    id: schemas.EventId,
    state: schemas.LevelName,
    links: Type.Object({ event: Type.String() }),
  },
  { description: 'Signed, kept and on its way; whether the precondition held is in its verdict' },
);
const Written = Type.Object(
  {
    ...Accepted.properties,
    seq: schemas.Seq,
    verdict: Type.String(),
    commit: schemas.Count,
  },
  { description: 'Final and applied' },
);
const Value = Type.Object({
  key: Type.String(),
  value: Type.String({ description: 'base64' }),
  type: Type.Optional(Type.String()),
  seq: schemas.Seq,
  ts_ms: Type.Integer(),
  actor: schemas.ActorId,
  ...schemas.READ_PROPERTIES,
});

type WriteResult = Static<typeof Accepted> | Static<typeof Written>;

interface Write {
  readonly wait?: 'accepted' | 'final';
  readonly timeout_ms?: number;
}

/** `/v1/kv/{key}`: the node authors the events; bodies are raw bytes of any media type. */
export async function kvRoutes(app: Api, parts: LedgerParts): Promise<void> {
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  const written = { 200: Written, 202: Accepted, default: schemas.ErrorReply };
  app.put(
    '/v1/kv/*',
    {
      bodyLimit: VALUE_BYTES_MAX,
      config: { consumes: ['application/octet-stream'] },
      schema: {
        operationId: 'putKey',
        summary: 'Set a key to the bytes of the body; the content-type is kept',
        tags: ['kv'],
        params: Params,
        querystring: WriteQuery,
        response: written,
      },
    },
    (request, reply) => {
      const value = bytesOfBody(request.body);
      const type = request.headers['content-type'];
      const ifSeq = ifSeqOf(request.query.ifSeq, request.headers);
      const body = { key: request.params['*'], value, ...(type && { type }), ...ifSeq };
      const whom = parts.speaksFor(request);
      return write(parts, 'kv.put/1', body, request.query, whom, reply);
    },
  );

  app.delete(
    '/v1/kv/*',
    {
      schema: {
        operationId: 'deleteKey',
        summary: 'Remove a key',
        tags: ['kv'],
        params: Params,
        querystring: WriteQuery,
        response: written,
      },
    },
    (request, reply) => {
      const body = { key: request.params['*'], ...ifSeqOf(request.query.ifSeq, request.headers) };
      const whom = parts.speaksFor(request);
      return write(parts, 'kv.delete/1', body, request.query, whom, reply);
    },
  );

  app.get(
    '/v1/kv/*',
    {
      schema: {
        operationId: 'getKey',
        summary: 'The value of a key as it was put; as JSON with accept: application/json',
        tags: ['kv'],
        params: Params,
        querystring: ReadQuery,
        response: {
          200: schemas.contentReply('The value', {
            'application/json': Value,
            'application/octet-stream': schemas.Binary,
          }),
          304: Type.Unsafe<undefined>({
            type: 'null',
            description: 'If-None-Match names the present value',
          }),
          default: schemas.ErrorReply,
        },
      },
    },
    (request, reply) => {
      const level = request.query.level ?? 'final';
      const key = request.params['*'];
      const found =
        readAt(parts, key, level) ??
        fail('no_such_key', 'There is no such key at this level.', { key, level });
      const read = parts.view.of(level);
      const etag = etagOf(found, level, read.finalSeq);
      reply.headers({
        etag,
        vary: 'accept',
        'cache-control': 'no-cache',
        'x-x0t-level': level,
        'x-x0t-final-seq': read.finalSeq,
        'x-x0t-commit': read.commitIndex,
        'x-x0t-pending': read.pendingCount,
        'x-x0t-quorum': read.quorumReachable ? 'reachable' : 'unreachable',
      });
      if (request.headers['if-none-match'] === etag) return reply.code(304).send(undefined);
      const { value, ...rest } = found;
      if (request.headers.accept?.includes('application/json')) {
        return reply
          .type('application/json')
          .send({ ...rest, value: Buffer.from(value).toString('base64'), ...read });
      }
      // a value is foreign data: a browser must neither guess its type nor run it as this origin
      return reply
        .headers({
          'content-type': mediaTypeOf(found.type),
          'x-content-type-options': 'nosniff',
          'content-security-policy': "default-src 'none'; sandbox",
        })
        .send(Buffer.from(value));
    },
  );
}

/** The entry of a key; `undefined` where it does not exist at this level. */
function readAt({ core, store }: LedgerParts, key: string, level: Level): KvEntry | undefined {
  if (level === 'accepted') return readKey(core.rows('kv', 'accepted'), key);
  const row = store.get(storeKeys.row('kv', key));
  return row && decodeRow(key, row);
}

function bytesOfBody(body: unknown): Uint8Array {
  if (!(body instanceof Uint8Array)) return new Uint8Array();
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
}

/**
 * What is acknowledged before it is final must stand by itself, so it is signed; what is only told
 * when it is final rides in a block that is signed anyway.
 */
async function write(
  { core, stopping, metrics: { finality } }: LedgerParts,
  kind: string,
  body: Body,
  { wait, timeout_ms = TIMEOUT_MS }: Write,
  onBehalfOf: string | undefined,
  reply: FastifyReply,
): Promise<WriteResult> {
  const start_ms = finality.now_ms();
  const entry = await core.author(kind, body, wait !== 'final', onBehalfOf);
  finality.started(entry.id, start_ms);
  const id = textOf(entry.id);
  const links = linksOf(entry.id);
  if (wait !== 'final') {
    reply.code(202).header('location', links.event);
    return { id, state: 'accepted', links };
  }
  const final = await stopping.until(core.waitFinal(entry.id, timeout_ms));
  if (!final) {
    fail('final_timeout', 'Not final in time, see `npx x0t status`: ask again by its id.', {
      id,
      event: links.event,
      timeout_ms,
    });
  }
  const { seq, commit } = final;
  const verdict = verdictName(final.verdict);
  if (verdict === 'kv_precondition') {
    fail('precondition_failed', 'The key was changed by another event: read it again.', {
      id,
      seq,
    });
  }
  if (verdict !== 'applied') {
    fail('not_applied', 'The event is in the log and changed nothing: its verdict says why.', {
      id,
      seq,
      verdict,
    });
  }
  return { id, state: 'final', seq, verdict, commit, links };
}
