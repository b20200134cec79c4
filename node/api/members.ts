import { Type } from 'typebox';
import type { Static } from 'typebox';
import { fail } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import { listInvites, listMembers, readMember } from '#projections/members.ts';
import type { Member } from '#projections/members.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const Texts = Type.Array(Type.String());
const MemberReply = Type.Object(
  {
    actor: schemas.ActorId,
    state: Type.Enum(['joining', 'active', 'cordoned', 'draining', 'retired', 'removed']),
    roles: Texts,
    author: Type.Optional(Type.Integer({ description: 'index in the committee' })),
    peer: Type.Optional(
      Type.String({ description: 'libp2p peer id: with the actor the pair of its node' }),
    ),
    addrs: Type.Optional(Type.Array(Type.String(), { description: 'multiaddrs' })),
    barred: Type.Optional(
      Type.Boolean({ description: 'it signed two blocks for one slot: no seat any more' }),
    ),
    seeksSeat: Type.Optional(
      Type.Boolean({ description: 'it gets a seat once it is ready and there is room' }),
    ),
    labels: Type.Optional(Type.Array(Type.String(), { description: 'name=value' })),
    capabilities: Type.Optional(Texts),
    invite: Type.Optional(Type.String({ description: 'id of the invite by which it came' })),
    reason: Type.Optional(Type.String({ description: 'why it was removed' })),
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
  },
  { description: 'One member' },
);
const MembersReply = Type.Object(
  {
    chain: schemas.EventId,
    epoch: schemas.Count,
    quorum: schemas.Count,
    members: Type.Array(MemberReply),
  },
  { description: 'All members in the order of their coming, those who left included' },
);
const InvitesReply = Type.Object(
  {
    invites: Type.Array(
      Type.Object({
        id: Type.String({ description: '64 hex digits' }),
        issuer: schemas.ActorId,
        state: Type.Enum(['open', 'expired', 'used', 'withdrawn']),
        roles: Texts,
        labels: Texts,
        capabilities: Texts,
        addrs: Texts,
        notAfter_ms: Type.Integer({ description: 'UTC, milliseconds since the Unix epoch' }),
        usedBy: Type.Optional(schemas.ActorId),
      }),
    ),
  },
  { description: 'The invites that are remembered; none shows a secret' },
);

/** Who belongs to the network, and who may come. */
export async function memberRoutes(
  app: Api,
  { core, clock }: LedgerParts,
): Promise<void> {
  const rows = () => core.rows('members', 'final');

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
      chain: textOf(core.chain.id),
      epoch: core.replica.committee.epoch,
      quorum: core.replica.committee.quorum,
      members: listMembers(rows()).map(shown),
    }),
  );

  app.get(
    '/v1/members/:actor',
    {
      schema: {
        operationId: 'getMember',
        summary: 'One member',
        tags: ['network'],
        params: Type.Object({ actor: schemas.ActorId }),
        response: { 200: MemberReply, default: schemas.ErrorReply },
      },
    },
    ({ params: { actor } }) => {
      const member = readMember(rows(), actor);
      if (member) return shown(member);
      return fail('no_such_member', 'There is no such member: see `npx x0t member list`.', {
        actor,
      });
    },
  );

  app.get(
    '/v1/invites',
    {
      schema: {
        operationId: 'listInvites',
        summary: 'Invites, and what became of them',
        tags: ['network'],
        response: { 200: InvitesReply, default: schemas.ErrorReply },
      },
    },
    () => ({
      invites: listInvites(rows(), clock.wall_ms()).map((one) => ({
        ...one,
        roles: [...one.roles],
        labels: [...one.labels],
        capabilities: [...one.capabilities],
        addrs: [...one.addrs],
      })),
    }),
  );
}

function shown({
  roles,
  addrs,
  labels,
  capabilities,
  keys,
  state = 'active',
  ...rest
}: Member): Static<typeof MemberReply> {
  const key = keys ? keys.find((one) => one.state === 'present')?.id : rest.actor;
  return {
    ...rest,
    state,
    roles: [...roles],
    ...(key !== undefined && { key }),
    ...(keys && { keys: [...keys] }),
    ...(addrs && { addrs: [...addrs] }),
    ...(labels && { labels: [...labels] }),
    ...(capabilities && { capabilities: [...capabilities] }),
  };
}
