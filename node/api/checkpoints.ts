import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Certificate } from '#ledger/certificate.ts';
import type { Core } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import { parseId, textOf } from '#ledger/ids.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const Digest = Type.String({ description: '64 hex digits' });
const Size = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/** A certified checkpoint as the API shows it. */
const CheckpointReply = Type.Object(
  {
    id: Type.String({ description: 'CID of the checkpoint' }),
    epoch: schemas.Count,
    cut: Type.Enum(['periodic', 'idle', 'epoch']),
    size: Type.Integer({ description: 'final events that it covers' }),
    root: Type.String({ description: 'RFC 9162 root over them, 64 hex digits' }),
    state: Type.String({ description: 'state root after them, 64 hex digits' }),
    commit: Type.Object({ index: schemas.Count, id: Type.String() }),
    ts_ms: Type.Integer({
      description: 'time of that commit, milliseconds since the Unix epoch',
    }),
    nextCommittee: Type.Optional(Digest),
    prev: Type.String({ description: 'CID of the checkpoint before it, or of the genesis' }),
    signers: Type.Array(schemas.ActorId, { description: 'exactly a quorum of the validators' }),
  },
  { description: 'A checkpoint of the final log that a quorum has signed' },
);

/** `/v1/checkpoints` and receipts: what somebody who was not there can verify. */
export async function checkpointRoutes(app: Api, { core }: LedgerParts): Promise<void> {
  const certified = {
    200: {
      description: 'The checkpoint; with accept: application/cbor its certificate',
      content: {
        'application/json': { schema: CheckpointReply },
        'application/cbor': { schema: schemas.Binary },
      },
    },
    default: schemas.ErrorReply,
  };

  app.get(
    '/v1/events/:id/receipt',
    {
      schema: {
        operationId: 'getReceipt',
        summary: 'The receipt of a final event: verifiable offline with `x0t verify`',
        tags: ['events'],
        params: Type.Object({ id: schemas.EventId }),
        response: {
          200: schemas.contentReply('DAG-CBOR', { 'application/cbor': schemas.Binary }),
          default: schemas.ErrorReply,
        },
      },
    },
    async ({ params }, reply) => {
      const id = parseId(params.id);
      if (!core.log.event(id)) {
        fail('no_such_event', 'This node does not hold the event.', { id: textOf(id) });
      }
      return reply.type('application/cbor').send(Buffer.from(await core.receipts.receipt(id)));
    },
  );

  app.get(
    '/v1/checkpoints/latest',
    {
      schema: {
        operationId: 'getLatestCheckpoint',
        summary: 'The newest certified checkpoint',
        tags: ['log'],
        response: certified,
      },
    },
    async ({ headers }, reply) => {
      const { latest } = core.certifier;
      if (!latest) fail('not_certified', 'Nothing is certified yet: ask again in some seconds.');
      const { type, payload } = asAsked(core, latest, headers.accept);
      return reply.header('vary', 'accept').type(type).send(payload);
    },
  );

  app.get(
    '/v1/checkpoints/:size',
    {
      schema: {
        operationId: 'getCheckpoint',
        summary: 'The certified checkpoint over exactly so many final events',
        tags: ['log'],
        params: Type.Object({ size: SizeText }),
        response: certified,
      },
    },
    async ({ headers, params }, reply) => {
      const certificate = await core.receipts.certificate(sizeOf(params.size));
      const { type, payload } = asAsked(core, certificate, headers.accept);
      return reply.header('vary', 'accept').type(type).send(payload);
    },
  );

  app.get(
    '/v1/checkpoints/:size/consistency',
    {
      schema: {
        operationId: 'getConsistency',
        summary: 'The proof that the certified log begins with an earlier one (RFC 9162)',
        tags: ['log'],
        params: Type.Object({ size: SizeText }),
        querystring: Type.Object({ from: Size }, { additionalProperties: false }),
        response: {
          200: schemas.contentReply('DAG-CBOR', { 'application/cbor': schemas.Binary }),
          default: schemas.ErrorReply,
        },
      },
    },
    async ({ params, query }, reply) => {
      const proof = await core.receipts.consistency(query.from, sizeOf(params.size));
      return reply.type('application/cbor').send(Buffer.from(proof));
    },
  );
}

/** Parameters of a path are texts. */
const SizeText = Type.String({ pattern: '^[1-9][0-9]{0,15}$', description: 'final events' });

function sizeOf(text: string): number {
  const size = Number(text);
  if (Number.isSafeInteger(size)) return size;
  return fail('out_of_range', 'No log is that long.', { size: text });
}

/** JSON, or the certificate's own bytes. */
function asAsked(
  core: Core,
  certificate: Certificate,
  accept: string | undefined,
): { readonly type: string; readonly payload: Buffer | Static<typeof CheckpointReply> } {
  return accept?.includes('application/cbor')
    ? { type: 'application/cbor', payload: Buffer.from(certificate.bytes) }
    : { type: 'application/json', payload: renderCertificate(core, certificate) };
}

/** A certificate without its signatures. */
export type CheckpointJson = Static<typeof CheckpointReply>;

function renderCertificate(core: Core, { checkpoint, signatures }: Certificate): CheckpointJson {
  const { id, epoch, cut, size, root, state, commit, ts_ms, nextCommittee, prev } = checkpoint;
  const committee = core.certifier.committeeOf(epoch);
  return {
    id: textOf(id),
    epoch,
    cut,
    size,
    root,
    state,
    commit: { index: commit.index, id: textOf(commit.id) },
    ts_ms,
    ...(nextCommittee !== undefined && { nextCommittee }),
    prev: textOf(prev),
    signers: signatures.flatMap(({ author }) => committee?.at(author).actor ?? []),
  };
}
