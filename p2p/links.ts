/**
 * Who is connected and admitted: every peer with the connections on which its hello was accepted.
 */
import { fail } from '#ledger/errors.ts';
import type { Clock, Id, PeerInfo, PeerName } from '#ledger/ports.ts';
import type { Connection } from '@libp2p/interface';
import type { Admitted } from './access.ts';
import { CONNECTIONS_PER_PEER_MAX } from './limits.ts';

/** One admitted connection. */
export interface Link {
  readonly connection: Connection;
  /** Monotonic time of its last pong, or of its admission. */
  pong_ms: number;
  /** Pings in a row that got no answer. */
  unanswered: number;
  pinging: boolean;
}

export interface LinkedPeer {
  readonly peer: PeerName;
  readonly actor: Id;
  /** As of the last hello or review. */
  access: Admitted;
  readonly since_ms: number;
  /** Oldest first; never empty while the peer is listed. */
  readonly links: Link[];
  rtt_ms: number | undefined;
  /** Monotonic time of the last sign of life: pong, gossip or request. */
  heard_ms: number;
  /** Monotonic time since which the gossip streams are not both there; undefined when they are. */
  mute_ms: number | undefined;
}

export interface LinkEvents {
  up(peer: LinkedPeer): void;
  down(peer: LinkedPeer): void;
}

export class Links {
  readonly #clock: Clock;
  readonly #peers_max: number;
  readonly #events: LinkEvents;
  readonly #peers = new Map<PeerName, LinkedPeer>();
  /** Connections whose hello is under way, with what it will say. */
  readonly #pending = new Map<string, Promise<boolean>>();

  constructor(clock: Clock, peers_max: number, events: LinkEvents) {
    this.#clock = clock;
    this.#peers_max = peers_max;
    this.#events = events;
  }

  get(peer: PeerName): LinkedPeer | undefined {
    return this.#peers.get(peer);
  }

  all(): LinkedPeer[] {
    return [...this.#peers.values()];
  }

  /** Notes that the hello of `connection` is under way; `outcome` never rejects. */
  pending(connection: Connection, outcome: Promise<boolean>): void {
    this.#pending.set(connection.id, outcome);
    void outcome.then(() => this.#pending.delete(connection.id));
  }

  /**
   * Whether the peer of `connection` is admitted, after waiting for a hello under way on it (at
   * most its 5 s).
   */
  async admitted(connection: Connection): Promise<boolean> {
    const peer = connection.remotePeer.toString();
    if (this.#peers.has(peer)) return true;
    await this.#pending.get(connection.id);
    return this.#peers.has(peer);
  }

  /**
   * Admits `connection` for `actor` with `access`. Throws `too_many_peers`, or `actor_changed`
   * while the peer is linked as another. The result lists connections to close: ones that this one
   * replaces.
   */
  admit(connection: Connection, actor: Id, access: Admitted): Connection[] {
    const peer = connection.remotePeer.toString();
    const now = this.#clock.monotonic_ms();
    const known = this.#peers.get(peer);
    const link: Link = { connection, pong_ms: now, unanswered: 0, pinging: false };
    if (known === undefined) {
      if (this.#peers.size >= this.#peers_max)
        fail('too_many_peers', 'This node has all the peers it takes.', { peer });
      const fresh: LinkedPeer = {
        peer,
        actor,
        access,
        since_ms: now,
        links: [link],
        rtt_ms: undefined,
        heard_ms: now,
        mute_ms: now,
      };
      this.#peers.set(peer, fresh);
      this.#events.up(fresh);
      return [];
    }
    if (known.actor !== actor) {
      fail(
        'actor_changed',
        'The peer is still linked as another actor; retry when that link has ended.',
        { peer },
      );
    }
    // A peer dials only when it holds no link, so a second inbound one means that it lost the
    // first.
    const stale = known.links.filter((old) => {
      return old.connection.direction === 'inbound' && connection.direction === 'inbound';
    });
    const others = known.links.length - stale.length;
    if (others >= CONNECTIONS_PER_PEER_MAX)
      fail('too_many_links', 'The peer holds too many connections.', { peer });
    known.links.push(link);
    return stale.map((old) => old.connection);
  }

  /** Forgets `connection`; its peer goes down with the last one. Unknown ones are ignored. */
  remove(connection: Connection): void {
    const known = this.#peers.get(connection.remotePeer.toString());
    const at = known?.links.findIndex((link) => link.connection.id === connection.id) ?? -1;
    if (known === undefined || at < 0) return;
    known.links.splice(at, 1);
    if (known.links.length > 0) return;
    this.#peers.delete(known.peer);
    this.#events.down(known);
  }

  /** The newest connection to an admitted peer that is still open. */
  open(peer: PeerName): Connection | undefined {
    const links = this.#peers.get(peer)?.links;
    return links?.findLast((link) => link.connection.status === 'open')?.connection;
  }

  /** The same; throws `peer_gone` when there is none. */
  best(peer: PeerName): Connection {
    return (
      this.open(peer) ?? fail('peer_gone', 'The peer is not connected; ask another.', { peer })
    );
  }

  /** Notes a sign of life. */
  heard(peer: PeerName): void {
    const known = this.#peers.get(peer);
    if (known !== undefined) known.heard_ms = this.#clock.monotonic_ms();
  }
}

/** What the port shows of a peer. */
export function infoOf(peer: LinkedPeer): PeerInfo {
  return { peer: peer.peer, actor: peer.actor, rtt_ms: peer.rtt_ms };
}
