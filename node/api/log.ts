import { setImmediate } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Api, LedgerParts } from './parts.ts';
import { renderFinal } from './render.ts';
import type { EventJson } from './render.ts';
import * as schemas from './schemas.ts';
import type { FinalStream, StreamPermit } from './stream.ts';

const LIMIT = 100;
const LIMIT_MAX = 1000;
/** Bytes of events in one answer: some 12 MB as JSON at worst. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** A page lets others have their turn after this time. */
const SLICE_MS = 8;

const Query = Type.Object(
  {
    from: Type.Optional(schemas.Seq),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
  },
  { additionalProperties: false },
);
const Page = Type.Object(
  {
    events: Type.Array(schemas.EventReply),
    finalSeq: schemas.Count,
    next: Type.Optional(Type.Integer({ description: 'there are more: pass it as `from`' })),
  },
  { description: 'Final events in their order' },
);
const StreamQuery = Type.Object(
  { from: Type.Optional(schemas.Seq) },
  { additionalProperties: false },
);

/** What lets a request's caller go on reading. */
export type PermitOf = (request: FastifyRequest) => StreamPermit;

/** `/v1/log`: the final log in pages and as a stream. */
export async function logRoutes(
  app: Api,
  parts: LedgerParts,
  stream: FinalStream,
  permitOf: PermitOf,
): Promise<void> {
  app.get(
    '/v1/log',
    {
      schema: {
        operationId: 'readLog',
        summary: 'A page of the final log',
        tags: ['log'],
        querystring: Query,
        response: { 200: Page, default: schemas.ErrorReply },
      },
    },
    async ({ query }) => readPage(parts, query.from ?? 1, query.limit ?? LIMIT),
  );

  app.get(
    '/v1/log/stream',
    {
      // a HEAD of something that never ends makes no sense
      exposeHeadRoute: false,
      schema: {
        operationId: 'streamLog',
        summary: 'Final events as they come: server-sent events whose id is the seq',
        description: 'Begins after Last-Event-ID, else at `from`, else after the present end.',
        tags: ['log'],
        querystring: StreamQuery,
        response: {
          200: schemas.contentReply('Events without end', { 'text/event-stream': Type.String() }),
          default: schemas.ErrorReply,
        },
      },
    },
    (request, reply) => {
      const from = stream.startOf(request.headers['last-event-id'], request.query.from);
      const permit = permitOf(request);
      stream.assertRoom(permit);
      if (from < parts.core.log.from) parts.core.log.at(from);
      reply.hijack();
      stream.open(reply.raw, from, permit);
      return reply;
    },
  );
}

interface LogPage {
  readonly events: EventJson[];
  readonly finalSeq: number;
  readonly next?: number;
}

async function readPage(parts: LedgerParts, from: number, limit: number): Promise<LogPage> {
  const { core, view: { finalSeq } } = parts;
  const events: EventJson[] = [];
  let bytes = 0;
  let slice_ms = performance.now();
  for (const final of core.log.range(from, Math.min(limit, Math.max(0, finalSeq - from + 1)))) {
    bytes += final.entry.eventBytes.length;
    if (bytes > PAGE_BYTES_MAX && events.length > 0) break;
    events.push(renderFinal(final));
    if (performance.now() - slice_ms < SLICE_MS) continue;
    await setImmediate();
    slice_ms = performance.now();
  }
  const next = from + events.length;
  return { events, finalSeq, ...(next <= finalSeq && { next }) };
}
