import { Type } from 'typebox';
import { COSE_KEY_BYTES, SIGN1_BYTES } from '#ledger/cose.ts';
import type { Body } from '#ledger/event.ts';
import {
  ADDRS_MAX, ADDR_CHARS_MAX, CAPABILITIES_MAX, INVITE_ROLES, LABELS_MAX,
} from '#ledger/invite.ts';
import type { InviteRole } from '#ledger/invite.ts';
import { readJoin } from '#ledger/join.ts';
import type { KindSpec } from '#ledger/kinds.ts';

/** Bodies of the kinds of a member's life (docs/membership.md). */

const REASON_CHARS_MAX = 256;
const PEER_CHARS_MAX = 128;

const bytes = (length: number, description: string) =>
  Type.Refine(
    Type.Unsafe<Uint8Array>({ description: `${description}, ${length} bytes` }),
    (value) => value instanceof Uint8Array && value.length === length,
  );
const isSet = (items: readonly string[]): boolean => new Set(items).size === items.length;

const Actor = bytes(32, 'actor');
const Roles = Type.Refine(
  Type.Array(Type.Enum([...INVITE_ROLES]), { maxItems: INVITE_ROLES.length }),
  isSet,
);
/** A seat is given by a change of the committee. */
const RolesBesideSeat = Type.Refine(
  Type.Array(Type.Enum(INVITE_ROLES.filter((role) => role !== 'validator')), {
    maxItems: INVITE_ROLES.length,
  }),
  isSet,
);
const Labels = Type.Refine(
  Type.Array(
    Type.String({
      pattern: '^[a-z0-9][a-z0-9._/-]{0,62}=[A-Za-z0-9._/:@-]{0,64}$',
      description: 'name=value',
    }),
    { maxItems: LABELS_MAX },
  ),
  (labels) => isSet(labels.map((label) => label.slice(0, label.indexOf('=')))),
);
const Capabilities = Type.Refine(
  Type.Array(Type.String({ pattern: '^[a-z0-9][a-z0-9._:/-]{0,63}$' }), {
    maxItems: CAPABILITIES_MAX,
  }),
  isSet,
);
const Addrs = Type.Array(Type.String({ minLength: 1, maxLength: ADDR_CHARS_MAX }), {
  maxItems: ADDRS_MAX,
  description: 'multiaddrs',
});

/** `member.invite/1`; with the author as issuer it is the invite that the token holds. */
export interface InviteBody {
  readonly keyHash: Uint8Array;
  readonly roles: readonly InviteRole[];
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
  readonly addrs: readonly string[];
  readonly notAfter_ms: number;
}

/** `member.describe/1`: what is left out stays as it is. */
export interface Described {
  readonly actor?: Uint8Array;
  readonly roles?: readonly InviteRole[];
  readonly labels?: readonly string[];
  readonly capabilities?: readonly string[];
  readonly addrs?: readonly string[];
}

const closed = { additionalProperties: false };
const Named = Type.Object({ actor: Actor }, closed);
const Reasoned = Type.Object(
  {
    actor: Actor,
    reason: Type.Optional(
      Type.String({ maxLength: REASON_CHARS_MAX, description: 'why, for people' }),
    ),
  },
  closed,
);

const Invited = Type.Object(
  {
    keyHash: bytes(32, 'SHA-256 of the one-time COSE_Key'),
    roles: Roles,
    labels: Labels,
    capabilities: Capabilities,
    addrs: Addrs,
    notAfter_ms: Type.Integer({ minimum: 0, description: 'UTC, milliseconds since 1970' }),
  },
  closed,
);

const Joined = Type.Refine(
  Type.Object(
    {
      key: bytes(COSE_KEY_BYTES, "the joiner's COSE_Key"),
      peer: Type.Optional(
        Type.String({ minLength: 1, maxLength: PEER_CHARS_MAX, description: 'libp2p peer id' }),
      ),
      peerProof: Type.Optional(bytes(64, 'Ed25519 signature by the libp2p key')),
      invite: bytes(32, 'id of the invite'),
      inviteKey: bytes(COSE_KEY_BYTES, 'the one-time COSE_Key'),
      proof: bytes(SIGN1_BYTES, 'COSE_Sign1 by the one-time key'),
      addrs: Type.Optional(Addrs),
    },
    closed,
  ),
  (body) => readJoin(body as unknown as Body) !== undefined,
);

export const LIFECYCLE_KINDS: readonly KindSpec[] = [
  {
    kind: 'member.invite/1',
    about: 'An operator invites: whoever holds the one-time key may become a member.',
    body: Invited,
  },
  {
    kind: 'member.withdraw/1',
    about: 'An operator takes back an invite that nobody has used.',
    body: Type.Object({ invite: bytes(32, 'id of the invite') }, closed),
  },
  {
    kind: 'member.join/1',
    about: 'The holder of an invite becomes a member; its node is named by its libp2p key.',
    body: Joined,
  },
  {
    kind: 'member.ready/1',
    about: 'A node that joined is in step; nodes do it by themselves.',
    body: Type.Object({}, closed),
  },
  {
    kind: 'member.cordon/1',
    about: 'A member keeps what it has and gets nothing new; by an operator.',
    body: Reasoned,
  },
  {
    kind: 'member.uncordon/1',
    about: 'A cordoned or draining member works again as before; by an operator.',
    body: Named,
  },
  {
    kind: 'member.drain/1',
    about: 'A member gives up its seat and ends its work; by an operator or itself.',
    body: Reasoned,
  },
  {
    kind: 'member.retire/1',
    about: 'A drained member leaves for good; by an operator or itself.',
    body: Reasoned,
  },
  {
    kind: 'member.remove/1',
    about: 'An operator removes a member for good, with its seat and its connections.',
    body: Type.Object(
      {
        actor: Actor,
        reason: Type.String({ minLength: 1, maxLength: REASON_CHARS_MAX, description: 'why' }),
      },
      closed,
    ),
  },
  {
    kind: 'member.describe/1',
    about: 'Roles, labels and capabilities of a member, by an operator; addresses by itself.',
    body: Type.Object(
      {
        actor: Actor,
        roles: Type.Optional(RolesBesideSeat),
        labels: Type.Optional(Labels),
        capabilities: Type.Optional(Capabilities),
        addrs: Type.Optional(Addrs),
      },
      { ...closed, minProperties: 2 },
    ),
  },
];
