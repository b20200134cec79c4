import type { Core } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import { decodeEntry } from '#ledger/event.ts';
import type { Event } from '#ledger/event.ts';
import { textOf } from '#ledger/ids.ts';
import { JOIN_KIND, readJoin } from '#ledger/join.ts';
import type { Entry } from '#ledger/event.ts';
import type { Clock, Id, PeerName } from '#ledger/ports.ts';
import { Bucket, TokenBuckets } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import type { JoinHandler } from '#p2p/index.ts';
import { INVITE_KIND, admits } from '#projections/members-invites.ts';
import { readInvite, readMember } from '#projections/index.ts';
import type { Rows } from '#ledger/projection.ts';
import { decodeJoin, encodeReply } from './join-exchange.ts';
import type { JoinMessage, JoinState, SignedEntry } from './join-exchange.ts';

type Reading = Pick<Rows, 'get'>;

/** Requests that present an open invite with its key, for each invite: nobody else takes these. */
const OF_INVITE: Rate = { perSecond: 1, burst: 10 };
/** All others together, which mostly are refused: those whose invite is not on the ledger yet. */
const OF_STRANGERS: Rate = { perSecond: 25, burst: 100 };
/** Invites that are told apart; the ledger has 256 open ones at most. */
const INVITES_MAX = 1024;

/**
 * A member's answer to those who hold an invite: takes their join into the pool as its origin and
 * gives them the genesis. All checks are those of any submission; nothing is promised that the
 * ledger does not hold. What costs signatures is bounded: for each open invite apart, and for all
 * who present none together, so that those keep out no one who was invited (`join_busy`).
 */
export function joinDesk(
  core: () => Pick<Core, 'chain' | 'rows' | 'submit'> | undefined,
  clock: Pick<Clock, 'wall_ms' | 'monotonic_ms'>,
): JoinHandler {
  const ofInvites = new TokenBuckets(OF_INVITE, clock, INVITES_MAX);
  const ofStrangers = new Bucket(clock, OF_STRANGERS);
  const charge = (event: Event, invite: Id, rows: Reading): void => {
    if (admits(event, rows) ? ofInvites.take(invite) : ofStrangers.take()) return;
    fail('join_busy', 'Too many want to join at once: try again.');
  };
  return async (message, peer) => {
    const ledger = core() ?? fail('stopping', 'The node is starting or stopping: try again.');
    const { chain } = ledger;
    const request = decodeJoin(message);
    if (request.chain !== chain.id) {
      fail('foreign_chain', 'The invite is for another network.', { chain: textOf(request.chain) });
    }
    const state = await take(ledger, request, peer, clock.wall_ms(), charge);
    return encodeReply({ genesis: chain.genesisBytes, state });
  };
}

async function take(
  core: Pick<Core, 'rows' | 'submit'>,
  { join, invite }: JoinMessage,
  peer: PeerName,
  now_ms: number,
  charge: (event: Event, invite: Id, rows: Reading) => void,
): Promise<JoinState> {
  const rows = core.rows('members', 'final');
  const { event } = entryOfKind(join, JOIN_KIND);
  const body = readJoin(event.body);
  if (!body) return fail('bad_body', 'The body does not fit the schema of its kind.');
  // who hands it over is who it speaks of
  if (body.peer !== undefined && body.peer !== peer) {
    fail('pair_differs', 'The event names another libp2p key than that of the connection.');
  }
  const known = readMember(rows, event.actor);
  if (known?.state === 'removed' || known?.state === 'retired') {
    fail('member_removed', 'The actor has left this network for good.', { actor: event.actor });
  }
  if (known?.invite === body.invite.toHex() && known.peer === body.peer) return 'member';
  charge(event, body.invite.toHex(), rows);
  if (invite && !readInvite(rows, body.invite.toHex(), now_ms)) {
    entryOfKind(invite, INVITE_KIND);
    await core.submit(invite.entry, invite.coseKey, peer);
    return 'invited';
  }
  await core.submit(join.entry, join.coseKey, peer);
  return 'accepted';
}

function entryOfKind({ entry: bytes }: SignedEntry, kind: string): Entry {
  const entry = decodeEntry(bytes);
  if (entry.event.kind !== kind) {
    fail('unknown_kind', 'Who is no member hands over a join and its invite, nothing else.', {
      kind: entry.event.kind,
    });
  }
  return entry;
}
