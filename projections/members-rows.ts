import { decode, encode } from '#ledger/codec.ts';
import type { InviteRole } from '#ledger/invite.ts';
import type { Id, PeerName } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import type { MemberState } from './transitions.ts';

/** A member's row; what it holds of a validator stays when it has left. */
export interface Row {
  readonly isOperator?: true;
  readonly key?: Uint8Array;
  readonly peer?: string;
  readonly addrs?: readonly string[];
  readonly barred?: true;
  /** See `member-keys.ts`. */
  readonly signing?: Uint8Array;
  /** Left out: `active`. */
  readonly state?: MemberState;
  /** Roles that were given to it, besides that of an operator; sorted. */
  readonly roles?: readonly InviteRole[];
  readonly labels?: readonly string[];
  readonly capabilities?: readonly string[];
  /** Id of the invite by which it came. */
  readonly invite?: Uint8Array;
  /** Why it was removed. */
  readonly reason?: string;
}

/** An invite's row: its terms, and what became of it. */
export interface InviteRow {
  /** SHA-256 of the one-time key. */
  readonly key: Uint8Array;
  readonly issuer: Uint8Array;
  /** SHA-256 of the key that signed it, where that is not the issuer's first. */
  readonly signer?: Uint8Array;
  readonly roles: readonly InviteRole[];
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
  readonly addrs: readonly string[];
  readonly notAfter_ms: number;
  /** Who used it. */
  readonly usedBy?: Uint8Array;
  readonly isWithdrawn?: true;
}

/**
 * Rows: `list` → [actor...] in the order of their coming, `actor/<64 hex digits>` → Row, `epoch` →
 * number, `committee/<epoch>` → [committee's id, [actor...], [key...]] for every epoch (evidence
 * may concern an old one; keys only where one is not the first), `next` → [actor...] only inside a
 * commit that changes the committee, `evidence/<epoch>/<author>` → [number of the event, round],
 * `peer/<peer id>` → the actor whose node has it now, `invites` → [id...] in the order of their
 * coming, `invite/<64 hex digits>` → InviteRow. Those of keys: `member-keys.ts`.
 */
export const EPOCH = 'epoch';
export const NEXT = 'next';
const LIST = 'list';
const INVITES = 'invites';
export const ofActor = (actor: Id): string => `actor/${actor}`;
export const ofEpoch = (epoch: number): string => `committee/${epoch}`;
export const ofEvidence = (epoch: number, author: number): string =>
  `evidence/${epoch}/${author}`;
export const ofInvite = (id: Id): string => `invite/${id}`;
const ofPeer = (peer: PeerName): string => `peer/${peer}`;

export type Reading = Pick<Rows, 'get'>;

/** Members that a network has had, those who left included: their rows tell them apart for ever. */
export const MEMBERS_MAX = 8192;

export function rowOf(rows: Reading, actor: Id): Row | undefined {
  const row = rows.get(ofActor(actor));
  return row && (decode(row) as Row);
}

/** Writes a row whose peer id may be new. */
export function putRow(rows: Rows, actor: Id, row: Row): void {
  rows.put(ofActor(actor), encode(row));
  if (row.peer !== undefined) rows.put(ofPeer(row.peer), Uint8Array.fromHex(actor));
}

/** Adds who is not there to the list. */
export function enlist(rows: Rows, actor: Id): void {
  rows.put(LIST, encode([...listOf(rows), actor].map((one) => Uint8Array.fromHex(one))));
}

export function startList(rows: Rows, actors: readonly Id[]): void {
  rows.put(LIST, encode(actors.map((one) => Uint8Array.fromHex(one))));
}

export function listOf(rows: Reading): Id[] {
  return idsIn(rows, LIST);
}

/** The actor that had a peer id last. */
export function actorOfPeer(rows: Reading, peer: PeerName): Id | undefined {
  return rows.get(ofPeer(peer))?.toHex();
}

export function inviteOf(rows: Reading, id: Id): InviteRow | undefined {
  const row = rows.get(ofInvite(id));
  return row && (decode(row) as InviteRow);
}

export function invitesIn(rows: Reading): Id[] {
  return idsIn(rows, INVITES);
}

export function putInvites(rows: Rows, ids: readonly Id[]): void {
  rows.put(INVITES, encode(ids.map((id) => Uint8Array.fromHex(id))));
}

function idsIn(rows: Reading, name: string): Id[] {
  const row = rows.get(name);
  return row ? idsOf(row) : [];
}

export function idsOf(row: Uint8Array): Id[] {
  return (decode(row) as readonly Uint8Array[]).map((id) => id.toHex());
}
