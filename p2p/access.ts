/**
 * Who is let in, and how far, by the judgement of the port's owner: asked after a hello that holds
 * and again at every `review`. What was refused is remembered for a while, so that such a peer is
 * not dialled, and is dialled at once when a review lets it in.
 */
import type { Clock, Id, Log, PeerName } from '#ledger/ports.ts';
import { TABLE_MAX } from './limits.ts';
import type { LinkedPeer, Links } from './links.ts';
import { REFUSED_MS } from './supervisor.ts';

/** What an admitted peer may have of this node. */
export interface Admitted {
  readonly isAdmitted: true;
  /**
   * Part, 0 to 1, of what a peer may ask per second and at once, and of the gossip that is taken
   * of it; 1 is all that everybody may.
   */
  readonly share: number;
  /** False: no gossip of the peer is taken and none is sent to it; requests go both ways. */
  readonly gossips: boolean;
}

/**
 * The answer for one peer: admitted, or the code that it is told as the refusal of its hello (and
 * that `hellos_total` counts).
 */
export type Access = { readonly isAdmitted: false; readonly code: string } | Admitted;

/**
 * Must be quick and must not throw: it is asked for every link at every review. `direction` is that
 * of the connection whose hello holds; none at a review of links that are open.
 */
export type AskAccess = (
  peer: PeerName,
  actor: Id,
  direction?: 'inbound' | 'outbound',
) => Access;

export const FULL_ACCESS: Admitted = { isAdmitted: true, share: 1, gossips: true };

export interface AccessParts {
  readonly ask: AskAccess | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly links: Links;
  /** Ends every connection of the peer. */
  readonly drop: (peer: PeerName) => void;
  /** Gossip streams of the peer are made anew: it gossips now, or does so no more. */
  readonly regossip: (peer: LinkedPeer) => void;
  /** Dials the peer at once if its address is known. */
  readonly retry: (peer: PeerName) => void;
}

interface Refusal {
  readonly actor: Id;
  readonly until_ms: number;
  /** Hellos that were refused until then. */
  readonly hellos: number;
}

/**
 * Hellos of a refused peer that are checked in `REFUSED_MS`, as each costs a signature: more than
 * one that redials with the usual back-off makes. Further connections are closed at once.
 */
const REFUSED_HELLOS_MAX = 30;

export class AccessControl {
  readonly #parts: AccessParts;
  /** At most `TABLE_MAX`; the oldest is forgotten first. */
  readonly #refusals = new Map<PeerName, Refusal>();

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /** Asks the owner, and notes a refusal. Without an owner's judgement everybody has all. */
  of(peer: PeerName, actor: Id, direction?: 'inbound' | 'outbound'): Access {
    const access = this.#parts.ask?.(peer, actor, direction) ?? FULL_ACCESS;
    const before = this.refusedFor_ms(peer) > 0 ? this.#refusals.get(peer) : undefined;
    this.#refusals.delete(peer);
    if (access.isAdmitted) return access;
    const until_ms = before?.until_ms ?? this.#parts.clock.monotonic_ms() + REFUSED_MS;
    this.#refusals.set(peer, { actor, until_ms, hellos: (before?.hellos ?? 0) + 1 });
    const [oldest] = this.#refusals.keys();
    if (this.#refusals.size > TABLE_MAX && oldest !== undefined) this.#refusals.delete(oldest);
    return access;
  }

  /** Milliseconds for which `peer` is not dialled, as it was refused; 0 when it is welcome. */
  refusedFor_ms(peer: PeerName): number {
    const until_ms = this.#refusals.get(peer)?.until_ms ?? 0;
    return Math.max(0, until_ms - this.#parts.clock.monotonic_ms());
  }

  /** Whether so many hellos of the peer were refused that it is not heard for a while. */
  isWorn(peer: PeerName): boolean {
    const hellos = this.#refusals.get(peer)?.hellos ?? 0;
    return hellos >= REFUSED_HELLOS_MAX && this.refusedFor_ms(peer) > 0;
  }

  /** Realises `ManagedNetwork.review`. */
  review(): void {
    const { ask, links, log, drop, regossip, retry } = this.#parts;
    for (const [peer, { actor }] of this.#refusals) {
      if (ask?.(peer, actor).isAdmitted === false) continue;
      this.#refusals.delete(peer);
      retry(peer);
    }
    for (const peer of links.all()) {
      const access = this.of(peer.peer, peer.actor);
      if (!access.isAdmitted) {
        const { actor } = peer;
        log.warn({ peer: peer.peer, actor, code: access.code }, 'peer is let in no more');
        drop(peer.peer);
        continue;
      }
      const { gossips } = peer.access;
      peer.access = access;
      if (gossips !== access.gossips) regossip(peer);
    }
  }
}
