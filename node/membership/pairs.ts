import type { Committee } from '#ledger/committee.ts';
import type { Core } from '#ledger/core.ts';
import { every } from '#ledger/every.ts';
import type { Clock, Id, PeerName } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import type { AskAccess, ManagedNetwork } from '#p2p/index.ts';
import { actorOfPeer, rowOf } from '#projections/members-rows.ts';
import { keyOf } from '#projections/member-keys.ts';
import { isGone } from '#projections/members-lifecycle.ts';

/** What this node knows as it judges a pair. */
export interface PairView {
  /** Final rows of the members. */
  readonly rows: Pick<Rows, 'get'>;
  /** Of the epoch in which this node stands. */
  readonly committee: Committee;
  /** Peers that its own configuration, or its invite, names with an address. */
  readonly configured: ReadonlySet<PeerName>;
  /** Whether it may lack what its peers hold. */
  readonly isBehind: boolean;
  /** Peers that it is linked to. */
  readonly linked: readonly PeerName[];
}

export type PairRefusal = 'not_on_ledger' | 'member_removed' | 'pair_differs' | 'key_revoked';

/**
 * Whether the ledger knows the actor that a hello has proved together with the connection's libp2p
 * key: the reason why not, or `undefined`.
 *
 * A node that is far behind, or alone, cannot know who came since. It takes the peers that its own
 * configuration names, where it has dialled them itself; never who comes to it, and nobody of whom
 * its ledger says that it left. What such a peer tells is verified as ever.
 *
 * A validator that was removed keeps its connections to the end of its epoch: a quorum of that
 * epoch's committee has to certify its end.
 */
export function refusalOf(
  { rows, committee, configured, isBehind, linked }: PairView,
  peer: PeerName,
  actor: Id,
  direction: 'inbound' | 'outbound' | undefined,
): PairRefusal | undefined {
  const seated = committee.validators.find((one) => one.actor === actor);
  if (seated?.peer === peer) return undefined;
  const row = rowOf(rows, actor);
  if (row) {
    if (isGone(row)) return refusal('member_removed');
    if (row.peer !== peer) return refusal('pair_differs');
    return keyOf(actor, rows) === undefined ? refusal('key_revoked') : undefined;
  }
  const owner = actorOfPeer(rows, peer);
  const ownerRow = owner === undefined ? undefined : rowOf(rows, owner);
  if (ownerRow && isGone(ownerRow)) return refusal('member_removed');
  const isAlone = linked.every((one) => one === peer);
  // its key may have been changed since: then its actor is not recognised here yet
  const isNamed = configured.has(peer) || (ownerRow !== undefined && isBehind);
  const isOwnChoice = direction !== 'inbound' && isNamed;
  if (isOwnChoice && (isBehind || isAlone)) return undefined;
  return ownerRow ? refusal('pair_differs') : refusal('not_on_ledger');
}

/** Names a code that a peer is told: the table of codes is checked against this. */
function refusal(code: PairRefusal): PairRefusal {
  return code;
}

/** The judgement as the network asks for it. */
export function pairAccess(view: () => PairView): AskAccess {
  return (peer, actor, direction) => {
    const code = refusalOf(view(), peer, actor, direction);
    if (code !== undefined) return { isAdmitted: false, code };
    return { isAdmitted: true, share: 1, gossips: true };
  };
}

/** How soon a node that has caught up looks again at whom it took unknown. */
const UNKNOWN_LOOK_MS = 2000;

/**
 * Has open links judged again as long as one is open to a peer that the ledger does not know; what
 * becomes final does that for the others (`node/posture/access.ts`). The returned function ends it.
 */
export function reviewUnknown(
  core: Pick<Core, 'rows'>,
  network: Pick<ManagedNetwork, 'review' | 'peers'>,
  clock: Pick<Clock, 'after'>,
): () => void {
  const isUnknown = (actor: Id) => rowOf(core.rows('members', 'final'), actor) === undefined;
  return every(clock, UNKNOWN_LOOK_MS, () => {
    if (network.peers().some(({ actor }) => isUnknown(actor))) network.review();
  });
}
