import type { Core } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import { decodeEntry } from '#ledger/event.ts';
import { textOf } from '#ledger/ids.ts';
import { JOIN_KIND, readJoin } from '#ledger/join.ts';
import type { Entry } from '#ledger/event.ts';
import type { PeerName } from '#ledger/ports.ts';
import type { JoinHandler } from '#p2p/index.ts';
import { INVITE_KIND } from '#projections/members-invites.ts';
import { readInvite, readMember } from '#projections/index.ts';
import { decodeJoin, encodeReply } from './join-exchange.ts';
import type { JoinState, SignedEntry } from './join-exchange.ts';

/**
 * A member's answer to those who hold an invite: takes their join into the pool as its origin and
 * gives them the genesis. All checks are those of any submission; nothing is promised that the
 * ledger does not hold.
 */
export function joinDesk(
  core: () => Pick<Core, 'chain' | 'rows' | 'submit'> | undefined,
  now_ms: () => number,
): JoinHandler {
  return async (message, peer) => {
    const ledger = core() ?? fail('stopping', 'The node is starting or stopping: try again.');
    const { chain } = ledger;
    const request = decodeJoin(message);
    if (request.chain !== chain.id) {
      fail('foreign_chain', 'The invite is for another network.', { chain: textOf(request.chain) });
    }
    const state = await take(ledger, request.join, request.invite, peer, now_ms());
    return encodeReply({ genesis: chain.genesisBytes, state });
  };
}

async function take(
  core: Pick<Core, 'rows' | 'submit'>,
  join: SignedEntry,
  invite: SignedEntry | undefined,
  peer: PeerName,
  now_ms: number,
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
