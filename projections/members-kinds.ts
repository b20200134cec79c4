import { Type } from 'typebox';
import { COSE_KEY_BYTES, publicKeyOf } from '#ledger/cose.ts';
import { X0tError } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { EVIDENCE_KIND, readEvidence } from '#ledger/evidence.ts';
import { ADDRS_MAX, ADDR_CHARS_MAX } from '#ledger/invite.ts';
import type { KindSpec } from '#ledger/kinds.ts';
import { COMMITTEE_MAX } from '#ledger/limits.ts';
import { RETURN_KIND } from '#ledger/returning.ts';

/** Bodies of the kinds that change the committee. */

const PEER_CHARS_MAX = 128;

const Key = Type.Refine(
  Type.Unsafe<Uint8Array>({ description: `COSE_Key with ML-DSA-65, ${COSE_KEY_BYTES} bytes` }),
  (value) => value instanceof Uint8Array && isKey(value),
);
const Actor = Type.Refine(
  Type.Unsafe<Uint8Array>({ description: 'actor, 32 bytes' }),
  (value) => value instanceof Uint8Array && value.length === 32,
);

function isKey(value: Uint8Array): boolean {
  try {
    publicKeyOf(value);
    return true;
  } catch (error) {
    if (error instanceof X0tError) return false;
    throw error;
  }
}

const Join = Type.Object(
  {
    key: Key,
    peer: Type.String({
      minLength: 1,
      maxLength: PEER_CHARS_MAX,
      description: 'libp2p peer id of the node',
    }),
    stake: Type.Integer({ minimum: 1, maximum: 1, description: 'weight; 1 in version 1' }),
    addrs: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: ADDR_CHARS_MAX }), {
        maxItems: ADDRS_MAX,
        description: 'multiaddrs at which the node can be reached',
      }),
    ),
  },
  { additionalProperties: false },
);

/** A member gets a seat as it stands on the ledger. */
const Named = Type.Object({ actor: Actor }, { additionalProperties: false });

/** One validator to be, as `committee.change/1` brings it: a member, or who is none yet. */
export type Joining =
  | { readonly actor: Uint8Array }
  | {
      readonly key: Uint8Array;
      readonly peer: string;
      readonly stake: number;
      readonly addrs?: readonly string[];
    };

/** `committee.change/1`: all of it happens, or nothing. */
const CommitteeChange = Type.Object(
  {
    add: Type.Optional(
      Type.Array(Type.Union([Named, Join]), { minItems: 1, maxItems: COMMITTEE_MAX }),
    ),
    remove: Type.Optional(Type.Array(Actor, { minItems: 1, maxItems: COMMITTEE_MAX })),
  },
  { additionalProperties: false, minProperties: 1 },
);

/** `committee.leave/1`: the actor itself gives up its seat. */
const CommitteeLeave = Type.Object({}, { additionalProperties: false });

/** `committee.return/1`: see `ledger/returning.ts`. */
const CommitteeReturn = Type.Object(
  {
    nonce: Type.Refine(
      Type.Unsafe<Uint8Array>({ description: 'fresh bytes, 16' }),
      (value) => value instanceof Uint8Array && value.length === 16,
    ),
  },
  { additionalProperties: false },
);

/** `evidence.equivocation/1`: see `ledger/evidence.ts`. */
const EquivocationEvidence = Type.Refine(
  Type.Object(
    {
      headerA: Type.Unsafe<Uint8Array>({ description: 'header with the lower id' }),
      sigA: Type.Unsafe<Uint8Array>({ description: 'COSE_Sign1 over it' }),
      headerB: Type.Unsafe<Uint8Array>({ description: 'another header of the same slot' }),
      sigB: Type.Unsafe<Uint8Array>({ description: 'COSE_Sign1 over it' }),
      key: Key,
    },
    { additionalProperties: false },
  ),
  (body) => readEvidence(body as unknown as Body) !== undefined,
);

export const COMMITTEE_KINDS: readonly KindSpec[] = [
  {
    kind: 'committee.change/1',
    about: 'Takes validators into the committee and out of it; by an operator. Ends the epoch.',
    body: CommitteeChange,
  },
  {
    kind: 'committee.leave/1',
    about: 'A validator leaves the committee. Ends the epoch.',
    body: CommitteeLeave,
  },
  {
    kind: RETURN_KIND,
    about: 'A validator lost its store: it seals again in the epoch after this one.',
    body: CommitteeReturn,
  },
  {
    kind: EVIDENCE_KIND,
    about: 'Two signed headers of one slot: their author loses its seat. Ends the epoch.',
    body: EquivocationEvidence,
  },
];
