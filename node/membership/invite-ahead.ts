import { randomBytes } from 'node:crypto';
import { signStatement } from '#governance/participant.ts';
import { keyId } from '#ledger/cose.ts';
import { inviteId } from '#ledger/invite.ts';
import type { Invite, InviteRole } from '#ledger/invite.ts';
import type { Id } from '#ledger/ports.ts';
import { SEED_BYTES } from '#native/seeded-key.ts';
import { INVITE_KIND } from '#projections/members-invites.ts';
import type { NodeKeys } from '#node/data-dir.ts';
import { oneTimeKey } from './invite-token.ts';
import { pendingOf } from './join-dir.ts';
import type { PendingJoin } from './join-file.ts';
import type { ActorKey } from '#node/keys.ts';
import { systemClock } from '#node/system.ts';

/** The operator's lane for invites that are made before the network runs. */
const LANE_AHEAD = 2;
/** A day less than what the ledger takes: clocks differ. */
const OPEN_MS = 29 * 24 * 3_600_000;

export interface Ahead {
  readonly chain: Id;
  readonly operator: ActorKey;
  readonly node: NodeKeys;
  readonly roles: readonly InviteRole[];
  /** Where members will be: multiaddrs that name their peers. */
  readonly addrs: readonly string[];
  /** Numbers the operator's invites of this kind; each is used once. */
  readonly seq: number;
}

/**
 * The join of a node whose operator invites it before there is a network to tell: the node hands
 * over the operator's event together with its own. Nobody else ever has the one-time key.
 */
export async function inviteAhead(ahead: Ahead): Promise<PendingJoin> {
  const { chain, operator, node, addrs, seq } = ahead;
  const seed = new Uint8Array(randomBytes(SEED_BYTES));
  const key = oneTimeKey(seed);
  seed.fill(0);
  const wall_ms = systemClock.wall_ms();
  const roles = ahead.roles.toSorted();
  const terms = { roles, labels: [], capabilities: [], addrs, notAfter_ms: wall_ms + OPEN_MS };
  const hash = keyId(key.coseKey);
  const invite: Invite = { chain, issuer: operator.actor, key: hash, ...terms };
  const made = await signStatement(operator, {
    chain,
    lane: LANE_AHEAD,
    seq,
    kind: INVITE_KIND,
    body: { keyHash: Uint8Array.fromHex(hash), ...terms },
    wall_ms,
  });
  const { message } = await pendingOf({ invite, id: inviteId(invite), key }, node, node);
  const signed = { entry: made.bytes, coseKey: operator.coseKey };
  return { message: { ...message, invite: signed }, addrs };
}
