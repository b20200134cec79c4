import { Type } from 'typebox';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const KindsReply = Type.Object(
  {
    kinds: Type.Array(
      Type.Object({
        kind: Type.String(),
        about: Type.String(),
        body: Type.Unknown({ description: 'JSON Schema of the body; byte strings have no type' }),
      }),
    ),
  },
  { description: 'The event kinds that this network takes' },
);

/** What defines the network: its genesis object and its event kinds. */
export async function chainRoutes(app: Api, { core }: LedgerParts): Promise<void> {
  const { chain } = core;

  app.get(
    '/v1/genesis',
    {
      schema: {
        operationId: 'getGenesis',
        summary: 'The genesis object, whose CID is the id of the chain',
        tags: ['network'],
        response: {
          200: schemas.contentReply('DAG-CBOR', { 'application/cbor': schemas.Binary }),
          default: schemas.ErrorReply,
        },
      },
    },
    (_request, reply) => reply.type('application/cbor').send(Buffer.from(chain.genesisBytes)),
  );

  app.get(
    '/v1/kinds',
    {
      schema: {
        operationId: 'listKinds',
        summary: 'Event kinds with the schemas of their bodies',
        tags: ['network'],
        response: { 200: KindsReply, default: schemas.ErrorReply },
      },
    },
    () => ({ kinds: core.replica.fold.kinds.specs.map((spec) => ({ ...spec })) }),
  );
}
