import { encode } from '#ledger/codec.ts';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import type { ErrorData } from '#ledger/errors.ts';
import type { Event } from '#ledger/event.ts';
import { INVITE_MS_MAX, inviteId } from '#ledger/invite.ts';
import { bytesOf } from '#ledger/ids.ts';
import { JOIN_KIND, isOwnKey, peerStatement, readJoin } from '#ledger/join.ts';
import type { JoinBody } from '#ledger/join.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { actorOfKey, keyOf, keyState } from './member-keys.ts';
import type { InviteBody } from './members-lifecycle-kinds.ts';
import { fitsNode, isGone } from './members-lifecycle.ts';
import {
  MEMBERS_MAX, actorOfPeer, enlist, inviteOf, invitesIn, listOf, ofInvite, putInvites, putRow,
  rowOf,
} from './members-rows.ts';
import type { InviteRow, Reading } from './members-rows.ts';
import { isSignedByPeer } from './peer-proof.ts';

/** Invites, and the coming of those who hold one. */

/** Invites that may be open at once. */
export const INVITES_OPEN_MAX = 256;
/** Invites that are remembered, so that what became of them can be told. */
const INVITES_MAX = 1024;

type Coming = Pick<Event, 'chain' | 'actor' | 'key' | 'kind' | 'body'>;

export const INVITE_KIND = 'member.invite/1';
export const WITHDRAW_KIND = 'member.withdraw/1';
const KINDS = new Set<string>([INVITE_KIND, WITHDRAW_KIND, JOIN_KIND]);

export function isInviteKind(kind: string): boolean {
  return KINDS.has(kind);
}

/** The id of the invite that an event makes. */
export function invitedBy({ chain, actor, key, body }: Coming): Id {
  const { keyHash, ...terms } = body as unknown as InviteBody;
  return inviteId({
    ...terms,
    chain,
    issuer: actor,
    ...(key !== undefined && { signer: key }),
    key: keyHash.toHex(),
  });
}

/** Whether it presents an open invite: the rest is for its verdict. */
export function admits({ kind, body }: Coming, rows: Reading): boolean {
  if (kind !== JOIN_KIND) return false;
  const join = readJoin(body);
  if (!join) return false;
  const invite = inviteOf(rows, join.invite.toHex());
  if (!invite || invite.usedBy) return false;
  return isKeyOf(invite, join) && !isWithdrawn(invite, rows);
}

/**
 * Whether an invite was taken back, or nobody stands behind it any more: who lost its office, or
 * the key that signed the invite, lets in nobody.
 */
export function isWithdrawn(invite: InviteRow, rows: Reading): boolean {
  if (invite.isWithdrawn) return true;
  const issuer = invite.issuer.toHex();
  const row = rowOf(rows, issuer);
  if (row?.isOperator !== true || isGone(row) || keyOf(issuer, rows) === undefined) return true;
  return keyState(issuer, invite.signer?.toHex() ?? issuer, rows) === 'revoked';
}

function isKeyOf({ key }: InviteRow, { inviteKey }: JoinBody): boolean {
  return key.toHex() === keyId(inviteKey);
}

/** What an event about invites would come to now. */
function judgeInvite(event: Coming, ts_ms: number, rows: Reading): VerdictName {
  if (event.kind === JOIN_KIND) return judgeJoin(event, ts_ms, rows);
  if (rowOf(rows, event.actor)?.isOperator !== true) return 'member_not_permitted';
  if (event.kind === WITHDRAW_KIND) {
    const row = inviteOf(rows, (event.body as { readonly invite: Uint8Array }).invite.toHex());
    if (!row) return 'invite_unknown';
    if (row.usedBy) return 'invite_used';
    return isWithdrawn(row, rows) ? 'invite_withdrawn' : 'applied';
  }
  const { notAfter_ms } = event.body as unknown as InviteBody;
  if (inviteOf(rows, invitedBy(event))) return 'invite_known';
  if (notAfter_ms < ts_ms) return 'invite_expired';
  if (notAfter_ms > ts_ms + INVITE_MS_MAX) return 'invite_bounds';
  const others = invitesIn(rows).filter((id) => isOpen(inviteOf(rows, id), ts_ms, rows));
  return others.length < INVITES_OPEN_MAX ? 'applied' : 'invite_bounds';
}

function isOpen(row: InviteRow | undefined, ts_ms: number, rows: Reading): boolean {
  if (!row || row.usedBy || row.notAfter_ms < ts_ms) return false;
  return !isWithdrawn(row, rows);
}

function judgeJoin(event: Coming, ts_ms: number, rows: Reading): VerdictName {
  const join = readJoin(event.body);
  if (!join || !isOwnKey(event as Event, join)) return 'bad_body';
  const invite = inviteOf(rows, join.invite.toHex());
  if (!invite || !isKeyOf(invite, join)) return 'invite_unknown';
  if (invite.usedBy) return 'invite_used';
  if (isWithdrawn(invite, rows)) return 'invite_withdrawn';
  if (invite.notAfter_ms < ts_ms) return 'invite_expired';
  const { peer, peerProof, addrs = [] } = join;
  if (actorOfKey(event.actor, rows) !== undefined) return 'member_known';
  if (peer !== undefined && actorOfPeer(rows, peer) !== undefined) return 'member_known';
  if (!fitsNode(peer === undefined ? {} : { peer }, invite.roles)) return 'member_roles';
  if (peer === undefined && addrs.length > 0) return 'member_roles';
  if (listOf(rows).length >= MEMBERS_MAX) return 'member_bounds';
  if (peer === undefined || peerProof === undefined) return 'applied';
  // last: it costs more than all the rest
  const statement = peerStatement(event.chain, event.actor, peer);
  return isSignedByPeer(peer, statement, peerProof) ? 'applied' : 'member_proof_invalid';
}

export function applyInvite(event: Coming, ts_ms: number, rows: Rows): VerdictName {
  const verdict = judgeInvite(event, ts_ms, rows);
  if (verdict !== 'applied') return verdict;
  switch (event.kind) {
    case INVITE_KIND:
      return open(event, ts_ms, rows);
    case WITHDRAW_KIND: {
      const { invite } = event.body as { readonly invite: Uint8Array };
      const row = inviteOf(rows, invite.toHex()) as InviteRow;
      rows.put(ofInvite(invite.toHex()), encode({ ...row, isWithdrawn: true }));
      return 'applied';
    }
    default:
      return take(event, rows);
  }
}

function open(event: Coming, ts_ms: number, rows: Rows): VerdictName {
  const { keyHash, roles, ...terms } = event.body as unknown as InviteBody;
  const id = invitedBy(event);
  const known = invitesIn(rows);
  // the oldest that are over make room
  while (known.length >= INVITES_MAX) {
    const at = known.findIndex((one) => !isOpen(inviteOf(rows, one), ts_ms, rows));
    const [over] = known.splice(at, 1);
    rows.remove(ofInvite(over as Id));
  }
  const issuer = bytesOf(event.actor);
  const signer = event.key === undefined ? {} : { signer: bytesOf(event.key) };
  const row: InviteRow = { ...terms, roles, key: keyHash, issuer, ...signer };
  rows.put(ofInvite(id), encode(row));
  putInvites(rows, [...known, id]);
  return 'applied';
}

/** Who comes without a node has nothing to catch up with. */
function take({ actor, body }: Coming, rows: Rows): VerdictName {
  const join = body as unknown as JoinBody;
  const { key, peer, addrs = [] } = join;
  const id = join.invite.toHex();
  const invite = inviteOf(rows, id) as InviteRow;
  const { labels, capabilities } = invite;
  const roles = invite.roles.filter((role) => role !== 'operator').toSorted();
  rows.put(ofInvite(id), encode({ ...invite, usedBy: bytesOf(actor) }));
  enlist(rows, actor);
  putRow(rows, actor, {
    key,
    invite: join.invite,
    ...(invite.roles.includes('operator') && { isOperator: true }),
    ...(peer !== undefined && { peer, state: 'joining' }),
    ...(addrs.length > 0 && { addrs }),
    ...(roles.length > 0 && { roles }),
    ...(labels.length > 0 && { labels: labels.toSorted() }),
    ...(capabilities.length > 0 && { capabilities: capabilities.toSorted() }),
  });
  return 'applied';
}

/** What becomes of each verdict where it is an error for the event's author. */
const REFUSALS: Partial<Record<VerdictName, (data: ErrorData) => never>> = {
  bad_body: (data) =>
    fail('bad_body', 'The event does not bring the key of its own actor.', data),
  member_not_permitted: (data) =>
    fail('member_not_permitted', 'Only an operator invites, and takes an invite back.', data),
  invite_known: (data) =>
    fail('invite_known', 'The same invite is there: make one with a new key.', data),
  invite_bounds: (data) =>
    fail(
      'invite_bounds',
      `An invite is open for 30 days at most, and ${INVITES_OPEN_MAX} at once.`,
      data,
    ),
  invite_unknown: (data) =>
    fail('invite_unknown', 'There is no such invite: ask for a token of this network.', data),
  invite_used: (data) =>
    fail('invite_used', 'The invite was used: each lets in one member. Ask for another.', data),
  invite_withdrawn: (data) =>
    fail('invite_withdrawn', 'The invite was taken back.', data),
  invite_expired: (data) =>
    fail('invite_expired', 'The time of the invite has passed: ask for another.', data),
  member_known: (data) =>
    fail(
      'member_known',
      'The actor or its peer id is on the ledger: make new keys for a new member.',
      data,
    ),
  member_roles: (data) =>
    fail(
      'member_roles',
      'Validators, observers and auditors join with a node, others need no address.',
      data,
    ),
  member_bounds: (data) =>
    fail('member_bounds', 'The network has had as many members as it may.', data),
  member_proof_invalid: (data) =>
    fail('member_proof_invalid', 'The libp2p key does not vouch for the actor.', data),
};

/** Throws the verdict that an event would get, as an error for its author. */
export function assertInvite(event: Coming, ts_ms: number, rows: Reading): void {
  const verdict = judgeInvite(event, ts_ms, rows);
  if (verdict !== 'applied') REFUSALS[verdict]?.({ actor: event.actor });
}
