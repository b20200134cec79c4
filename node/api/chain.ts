import { Type } from 'typebox';
import { textOf } from '#ledger/ids.ts';
import { listMembers } from '#projections/members.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const MembersReply = Type.Object(
  {
    chain: schemas.EventId,
    epoch: schemas.Count,
    quorum: schemas.Count,
    members: Type.Array(
      Type.Object({
        actor: schemas.ActorId,
        roles: Type.Array(Type.String()),
        author: Type.Optional(Type.Integer({ description: 'index in the committee' })),
        peer: Type.Optional(Type.String({ description: 'libp2p peer id' })),
        addrs: Type.Optional(Type.Array(Type.String(), { description: 'multiaddrs' })),
        barred: Type.Optional(
          Type.Boolean({ description: 'it signed two blocks for one slot: no seat any more' }),
        ),
        key: Type.Optional(
          Type.String({ description: 'SHA-256 of the COSE_Key that signs for it; none: revoked' }),
        ),
        keys: Type.Optional(
          Type.Array(
            Type.Object({
              id: Type.String({ description: 'SHA-256 of the COSE_Key' }),
              state: Type.String({ description: 'present, retired or revoked' }),
              since: Type.Integer({ description: 'number of the event that bound it; 0: genesis' }),
              until: Type.Optional(Type.Integer({ description: 'from that event on another' })),
              revoked: Type.Optional(Type.Integer({ description: 'the event that revoked it' })),
            }),
            { description: 'all its keys, oldest first, where they were changed' },
          ),
        ),
      }),
    ),
  },
  { description: 'All members in the order of their coming' },
);
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

/** What defines the network: its members, its genesis object and its event kinds. */
export async function chainRoutes(app: Api, { core }: LedgerParts): Promise<void> {
  const { chain } = core;

  app.get(
    '/v1/members',
    {
      schema: {
        operationId: 'listMembers',
        summary: 'Who belongs to the network',
        tags: ['network'],
        response: { 200: MembersReply, default: schemas.ErrorReply },
      },
    },
    () => ({
      chain: textOf(chain.id),
      epoch: core.replica.committee.epoch,
      quorum: core.replica.committee.quorum,
      members: listMembers(core.rows('members', 'final')).map(
        ({ roles, addrs, keys, ...rest }) => {
          const key = keys ? keys.find(({ state }) => state === 'present')?.id : rest.actor;
          return {
            ...rest,
            roles: [...roles],
            ...(addrs && { addrs: [...addrs] }),
            ...(key !== undefined && { key }),
            ...(keys && { keys: [...keys] }),
          };
        },
      ),
    }),
  );

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
