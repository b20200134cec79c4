import { Type } from 'typebox';
import type { TSchema } from 'typebox';

/** Schemas that several routes share. What a schema does not name is not sent. */

export const ErrorReply = Type.Object(
  {
    code: Type.String({ description: 'see docs/errors.md' }),
    message: Type.String({ description: 'what is wrong and what to do' }),
    detail: Type.Record(Type.String(), Type.Unknown()),
    requestId: Type.String(),
  },
  { description: 'The request was not done' },
);

export const EventId = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'CIDv1 (dag-cbor, sha2-256) of the event, or the 64 hex digits of its digest',
});
export const LevelName = Type.Enum(['accepted', 'final'], {
  description:
    'final: ordered for good, the same on every node; accepted: with what this node holds on top',
});
export const Count = Type.Integer({ minimum: 0 });
export const Seq = Type.Integer({ minimum: 1, description: 'number in the final log' });
export const ActorId = Type.String({
  description: 'SHA-256 of the inception COSE_Key, 64 hex digits',
});

/** What a read is based on. */
export const READ_PROPERTIES = {
  level: LevelName,
  finalSeq: Type.Integer({
    minimum: 0,
    description: 'all events up to this number are in the answer',
  }),
  commitIndex: Type.Integer({
    minimum: 0,
    description: 'the last commit that made events final here',
  }),
  pendingCount: Type.Integer({ minimum: 0, description: 'accepted events that are not final' }),
  quorumReachable: Type.Boolean({
    description: 'whether this node sees enough validators for finality',
  }),
  epoch: Count,
};

export const SubmitReply = Type.Object(
  { id: EventId, state: LevelName },
  { description: 'The event is kept' },
);

export const EventReply = Type.Object(
  {
    id: EventId,
    state: LevelName,
    signed: Type.Boolean({
      description: 'false: covered by the signature of the block that carries it',
    }),
    seq: Type.Optional(Seq),
    verdict: Type.Optional(Type.String({ description: 'applied, or why it changed nothing' })),
    commit: Type.Optional(Count),
    ts_ms: Type.Optional(
      Type.Integer({ description: 'time of the commit, milliseconds since the Unix epoch' }),
    ),
    block: Type.Optional(Type.Object({ id: Type.String(), round: Count, author: Count })),
    event: Type.Unknown({
      description: 'the event; bytes are {"$bytes": base64}, links {"$link": CID}',
    }),
  },
  { description: 'An event and what became of it' },
);

/** A response of other media types than JSON. */
export function contentReply(
  description: string,
  content: Readonly<Record<string, TSchema>>,
): object {
  const entries = Object.entries(content).map(([type, schema]) => [type, { schema }] as const);
  return { description, content: Object.fromEntries(entries) };
}

export const Binary = Type.Unsafe<Uint8Array>({ type: 'string', format: 'binary' });
