/**
 * The bounded table of peers to keep connected: bootstrap addresses from the configuration, peers
 * that were once admitted, and peers found by mDNS. Each row has its own back-off; the first two
 * kinds are dialled for ever.
 */
import type { PeerName } from '#ledger/ports.ts';
import { ADDRESSES_PER_PEER_MAX, TABLE_MAX } from './limits.ts';

export type Origin = 'bootstrap' | 'admitted' | 'discovered';

export interface Target {
  /** The peer's name, or its address as long as the name is not known. */
  readonly key: string;
  peer: PeerName | undefined;
  origin: Origin;
  /** Multiaddrs as text, the last one that worked first. */
  addrs: string[];
  /** Dials in a row that ended without an admitted peer. */
  failures: number;
  /** Monotonic time before which it is not dialled. */
  next_ms: number;
  dialling: boolean;
  lastFailure: string | undefined;
  /** The code that the peer gave when it refused this node's last hello. */
  lastReason: string | undefined;
}

/** A discovered peer is forgotten after so many failures: the network announces it again. */
export const DISCOVERED_FAILURES_MAX = 8;

const PEER_PART = /\/p2p\/([1-9A-HJ-NP-Za-km-z]+)$/;

/** The peer's name at the end of a multiaddr, if it is there. */
export function peerIn(addr: string): PeerName | undefined {
  return PEER_PART.exec(addr)?.[1];
}

export class Addresses {
  readonly #targets = new Map<string, Target>();

  all(): Target[] {
    return [...this.#targets.values()];
  }

  get(peer: PeerName): Target | undefined {
    return this.#targets.get(peer) ?? this.all().find((target) => target.peer === peer);
  }

  /** Adds or extends a row; the strongest origin stays. New addresses come after those known. */
  add(peer: PeerName | undefined, addrs: readonly string[], origin: Origin, next_ms: number): void {
    const key = peer ?? addrs[0];
    if (key === undefined) return;
    const known = peer === undefined ? this.#targets.get(key) : this.get(peer);
    if (known === undefined) {
      if (!this.#makeRoom(origin)) return;
      this.#targets.set(key, {
        key,
        peer,
        origin,
        addrs: addrs.slice(0, ADDRESSES_PER_PEER_MAX),
        failures: 0,
        next_ms,
        dialling: false,
        lastFailure: undefined,
        lastReason: undefined,
      });
      return;
    }
    if (rank(origin) > rank(known.origin)) known.origin = origin;
    known.addrs = [...new Set([...known.addrs, ...addrs])].slice(0, ADDRESSES_PER_PEER_MAX);
  }

  /** Moves the address that led to the peer to the front; it survives newer ones. */
  worked(peer: PeerName, addr: string): void {
    const known = this.get(peer);
    if (known === undefined) return;
    known.addrs = [...new Set([addr, ...known.addrs])].slice(0, ADDRESSES_PER_PEER_MAX);
  }

  remove(target: Target): void {
    this.#targets.delete(target.key);
  }

  /** Room for one more row: drops the row that matters least, unless the new one matters less. */
  #makeRoom(origin: Origin): boolean {
    if (this.#targets.size < TABLE_MAX) return true;
    let worst: Target | undefined;
    for (const target of this.#targets.values()) {
      if (rank(target.origin) > rank(origin) || target.origin === 'bootstrap') continue;
      if (worst === undefined || badness(target) > badness(worst)) worst = target;
    }
    if (worst === undefined) return false;
    this.remove(worst);
    return true;
  }
}

function rank(origin: Origin): number {
  return origin === 'bootstrap' ? 2 : origin === 'admitted' ? 1 : 0;
}

function badness(target: Target): number {
  return (2 - rank(target.origin)) * 1000 + target.failures;
}
