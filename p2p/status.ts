/** The adapter's state as plain data for the status API and metrics. */
import type { Clock, PeerName } from '#ledger/ports.ts';
import type { Addresses } from './addresses.ts';
import type { Counters } from './counters.ts';
import type { Gossip } from './gossip.ts';
import type { Links } from './links.ts';
import type { PeerScores } from './score.ts';
import type { NetworkStatus } from './types.ts';

export interface StatusParts {
  readonly self: PeerName;
  readonly clock: Clock;
  readonly addrs: readonly string[];
  readonly links: Links;
  readonly gossip: Gossip;
  readonly scores: PeerScores;
  readonly addresses: Addresses;
  readonly blocked: ReadonlySet<PeerName>;
  readonly counters: Counters;
}

export function networkStatus(parts: StatusParts): NetworkStatus {
  const { self, clock, addrs, links, gossip, scores, addresses, blocked, counters } = parts;
  const now = clock.monotonic_ms();
  const peers = links.all().map((peer) => {
    const newest = peer.links.at(-1)?.connection;
    return {
      peer: peer.peer,
      actor: peer.actor,
      addr: newest?.remoteAddr.toString() ?? '',
      direction: newest?.direction ?? 'inbound',
      links: peer.links.length,
      rtt_ms: peer.rtt_ms,
      score: scores.score(peer.peer),
      gossip: gossip.streams(peer.peer),
      topics: gossip.topicsOf(peer.peer),
      share: peer.access.share,
      gossips: peer.access.gossips,
      up_ms: now - peer.since_ms,
    };
  });
  const missing = addresses
    .all()
    .filter((target) => target.peer === undefined || links.get(target.peer) === undefined)
    .map(({ peer, origin, addrs: known, failures, next_ms, ...last }) => {
      return {
        peer,
        origin,
        addrs: [...known],
        failures,
        lastFailure: last.lastFailure,
        lastReason: last.lastReason,
        nextDial_ms: Math.max(0, next_ms - now),
      };
    });
  return {
    self,
    addrs,
    peers,
    missing,
    blocked: [...blocked],
    banned: scores.banned(),
    counters: counters.snapshot(),
  };
}
