import { decode, encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import { EVENT_BYTES_MAX, FRAME_BYTES_MAX } from '#ledger/limits.ts';
import { linkOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';

/** What goes over `/x0t/join/1` (p2p/join.ts). */

/** An entry with the COSE_Key that signed it. */
export interface SignedEntry {
  readonly entry: Uint8Array;
  readonly coseKey: Uint8Array;
}

export interface JoinMessage {
  readonly chain: Id;
  readonly join: SignedEntry;
  /** The event that makes the invite, where it may not be on the ledger yet. */
  readonly invite?: SignedEntry;
}

/**
 * `invited`: the invite was handed over and is not final yet; `accepted`: so was the join;
 * `member`: the actor is on the ledger.
 */
export type JoinState = 'invited' | 'accepted' | 'member';
const STATES: readonly JoinState[] = ['invited', 'accepted', 'member'];

export interface JoinReply {
  readonly genesis: Uint8Array;
  readonly state: JoinState;
}

const REQUEST = new Set(['t', 'v', 'chain', 'join', 'invite']);
const REPLY = new Set(['t', 'v', 'genesis', 'state']);
/** An event with its signature. */
const ENTRY_BYTES_MAX = EVENT_BYTES_MAX + 4096;

export function encodeJoin({ chain, join, invite }: JoinMessage): Uint8Array {
  return encode({
    t: 'join',
    v: 1,
    chain: linkOf(chain),
    join: [join.entry, join.coseKey],
    ...(invite && { invite: [invite.entry, invite.coseKey] }),
  });
}

/** Throws coded errors for anything else. */
export function decodeJoin(bytes: Uint8Array): JoinMessage {
  const fields = field.fieldsOf(decode(bytes), REQUEST, 'join');
  field.assertTag(fields, 'join');
  return {
    chain: field.linkOfField(fields, 'chain'),
    join: signedIn(fields['join']),
    ...('invite' in fields && { invite: signedIn(fields['invite']) }),
  };
}

function signedIn(value: unknown): SignedEntry {
  const [entry, coseKey] = field.listOf(value, 'entry', 2);
  return {
    entry: field.bytesOfField({ entry }, 'entry', ENTRY_BYTES_MAX),
    coseKey: field.bytesOfField({ coseKey }, 'coseKey', 4096),
  };
}

export function encodeReply({ genesis, state }: JoinReply): Uint8Array {
  return encode({ t: 'joined', v: 1, genesis, state });
}

export function decodeReply(bytes: Uint8Array): JoinReply {
  const fields = field.fieldsOf(decode(bytes), REPLY, 'reply');
  field.assertTag(fields, 'joined');
  const state = field.textOfField(fields, 'state', 16);
  return {
    genesis: field.bytesOfField(fields, 'genesis', FRAME_BYTES_MAX),
    state:
      STATES.find((one) => one === state) ??
      fail('out_of_range', 'The reply names no state that is known here.', { field: 'state' }),
  };
}
