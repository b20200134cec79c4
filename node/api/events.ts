import { Type } from 'typebox';
import { decode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import type { Entry } from '#ledger/event.ts';
import { parseId, textOf } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import { COSE_KEY_BYTES, SIGN1_BYTES } from '#ledger/cose.ts';
import { EVENT_BYTES_MAX } from '#ledger/limits.ts';
import { coded } from './errors.ts';
import type { Api, LedgerParts } from './parts.ts';
import { renderState } from './render.ts';
import type { EventJson } from './render.ts';
import * as schemas from './schemas.ts';

/** An event of maximal size, its signature, its key, and the heads around them. */
const BODY_BYTES_MAX = EVENT_BYTES_MAX + SIGN1_BYTES + COSE_KEY_BYTES + 64;
const BATCH_EVENTS_MAX = 256;
const BATCH_BYTES_MAX = 2 * 1024 * 1024;

interface Submitted {
  readonly id: string;
  readonly state: 'accepted' | 'final';
}

type Result = Submitted | { readonly code: string; readonly message: string };

const BatchReply = Type.Object(
  {
    results: Type.Array(
      Type.Object({
        id: Type.Optional(schemas.EventId),
        state: Type.Optional(schemas.LevelName),
        code: Type.Optional(Type.String({ description: 'why the event was refused' })),
        message: Type.Optional(Type.String()),
      }),
      { description: 'one for each event, in the order of the request' },
    ),
  },
  { description: 'What became of each event' },
);

/**
 * `/v1/events`: events that were signed elsewhere, as DAG-CBOR `[entry, COSE_Key]`, and their
 * state.
 */
export async function eventRoutes(app: Api, parts: LedgerParts): Promise<void> {
  const submissions = new ApiSubmissions(parts);
  app.addContentTypeParser('application/cbor', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, plainBytes(body as Buffer));
  });

  app.post(
    '/v1/events',
    {
      bodyLimit: BODY_BYTES_MAX,
      config: { consumes: ['application/cbor'] },
      schema: {
        operationId: 'submitEvent',
        summary: 'Submit a signed event: DAG-CBOR [entry bytes, COSE_Key bytes]',
        tags: ['events'],
        response: {
          200: { ...schemas.SubmitReply, description: 'The event was known before' },
          202: schemas.SubmitReply,
          default: schemas.ErrorReply,
        },
      },
    },
    async (request, reply) => {
      const { isNew, id, state } = await submissions.take(decode(bodyOf(request.body)), request.ip);
      reply.code(isNew ? 202 : 200);
      return { id, state };
    },
  );

  app.post(
    '/v1/events/batch',
    {
      bodyLimit: BATCH_BYTES_MAX,
      config: { consumes: ['application/cbor'] },
      schema: {
        operationId: 'submitEvents',
        summary: 'Submit up to 256 signed events: DAG-CBOR [[entry, COSE_Key]...]',
        tags: ['events'],
        response: { 200: BatchReply, default: schemas.ErrorReply },
      },
    },
    ({ body, ip }) => submissions.takeBatch(decode(bodyOf(body)), ip),
  );

  app.get(
    '/v1/events/:id',
    {
      schema: {
        operationId: 'getEvent',
        summary: 'An event, its state and its verdict',
        tags: ['events'],
        params: Type.Object({ id: schemas.EventId }),
        response: { 200: schemas.EventReply, default: schemas.ErrorReply },
      },
    },
    ({ params }): EventJson => {
      const id = parseId(params.id);
      const known =
        parts.core.log.event(id) ??
        fail('no_such_event', 'This node does not hold the event.', { id: textOf(id) });
      return renderState(known);
    },
  );
}

/** Hands callers' events to the ledger; bounds how many are on their way. */
class ApiSubmissions {
  readonly #parts: LedgerParts;
  #underWay = 0;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
  }

  /** Resolves when the event is kept; `isNew` is false for one that was held before. */
  async take(item: unknown, ip: string): Promise<Submitted & { readonly isNew: boolean }> {
    const [entryBytes, coseKey, ...more] = Array.isArray(item) ? (item as unknown[]) : [];
    const isPair =
      entryBytes instanceof Uint8Array && coseKey instanceof Uint8Array && more.length === 0;
    if (!isPair) fail('wrong_type', 'An event is sent as the pair of its entry and its COSE_Key.');
    if (this.#underWay >= this.#parts.eventsUnderWay_max) {
      fail('overloaded', 'The node checks as many events as it may: send again later.');
    }
    const { core, metrics: { finality } } = this.#parts;
    const start_ms = finality.now_ms();
    this.#underWay += 1;
    try {
      const entry = await core.submit(entryBytes, coseKey, ip);
      // a known event comes back as another object than the one that is held
      const isNew = core.replica.pool.get(entry.id)?.entry === entry;
      if (isNew) finality.started(entry.id, start_ms);
      return { isNew, id: textOf(entry.id), state: isNew ? 'accepted' : this.#stateOf(entry) };
    } finally {
      this.#underWay -= 1;
    }
  }

  #stateOf({ id }: Entry): 'accepted' | 'final' {
    return this.#parts.store.get(storeKeys.finalOfEvent(id)) ? 'final' : 'accepted';
  }

  /**
   * Throws `wrong_type` or `out_of_range` for the batch; what is wrong with an event is its result.
   */
  async takeBatch(items: unknown, ip: string): Promise<{ results: Result[] }> {
    if (!Array.isArray(items)) fail('wrong_type', 'A batch is a list of events with their keys.');
    if (items.length > BATCH_EVENTS_MAX) {
      fail('out_of_range', `A batch has at most ${BATCH_EVENTS_MAX} events.`, {
        events: items.length,
      });
    }
    return { results: await Promise.all(items.map((item) => this.#takeOrRefuse(item, ip))) };
  }

  async #takeOrRefuse(item: unknown, ip: string): Promise<Result> {
    try {
      const { id, state } = await this.take(item, ip);
      return { id, state };
    } catch (error) {
      const { code, message } = coded(error);
      return { code, message };
    }
  }
}

function bodyOf(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : fail('not_canonical', 'The body is empty.');
}

/** Not a Buffer: the codec and the engines are faster on plain arrays. */
function plainBytes({ buffer, byteOffset, byteLength }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
