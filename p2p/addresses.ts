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
  /** Those of them that were added as bootstrap addresses. */
  named: readonly string[];
  /** Those of them that the ledger gives. */
  told: readonly string[];
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

  /**
   * Adds or extends a row; the strongest origin stays. New addresses come after the last one that
   * worked, those that were named and those of the ledger: a peer that moves pushes out only what
   * it said before.
   */
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
        named: origin === 'bootstrap' ? addrs : [],
        told: [],
        failures: 0,
        next_ms,
        dialling: false,
        lastFailure: undefined,
        lastReason: undefined,
      });
      return;
    }
    if (rank(origin) > rank(known.origin)) known.origin = origin;
    if (origin === 'bootstrap') known.named = bounded([...known.named, ...addrs]);
    const { named, told } = known;
    const worked = known.addrs.slice(0, 1);
    known.addrs = bounded([...worked, ...named, ...told, ...addrs, ...known.addrs]);
  }

  /**
   * What the ledger says of where a peer is, in the place of what it said before. Makes a row only
   * where `isSought`. Who is told to be elsewhere is dialled at once.
   */
  tell(peer: PeerName, addrs: readonly string[], isSought: boolean, now_ms: number): void {
    const known = this.get(peer);
    if (known === undefined) {
      if (!isSought || addrs.length === 0) return;
      this.add(peer, addrs, 'bootstrap', now_ms);
      const made = this.get(peer);
      if (made) Object.assign(made, { told: addrs, named: [] });
      return;
    }
    if (isSought && addrs.length > 0) known.origin = 'bootstrap';
    const over = new Set(known.told).difference(new Set([...addrs, ...known.named]));
    const isMoved = addrs.some((addr) => !known.addrs.includes(addr));
    const [first, ...others] = known.addrs.filter((addr) => !over.has(addr));
    const head = first === undefined ? [] : [first];
    known.told = addrs;
    known.addrs = bounded([...head, ...known.named, ...addrs, ...others]);
    if (known.addrs.length === 0) this.remove(known);
    else if (isMoved) Object.assign(known, { next_ms: now_ms, failures: 0 });
  }

  /** Leaves these addresses alone; none: the row goes. */
  keepOnly(target: Target, isKept: (addr: string) => boolean): void {
    target.addrs = target.addrs.filter(isKept);
    target.named = target.named.filter(isKept);
    target.told = target.told.filter(isKept);
    if (target.addrs.length === 0) this.remove(target);
  }

  /** Moves the address that led to the peer to the front; it survives newer ones. */
  worked(peer: PeerName, addr: string): void {
    const known = this.get(peer);
    if (known === undefined) return;
    known.addrs = bounded([addr, ...known.addrs]);
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

function bounded(addrs: readonly string[]): string[] {
  return [...new Set(addrs)].slice(0, ADDRESSES_PER_PEER_MAX);
}

function rank(origin: Origin): number {
  return origin === 'bootstrap' ? 2 : origin === 'admitted' ? 1 : 0;
}

function badness(target: Target): number {
  return (2 - rank(target.origin)) * 1000 + target.failures;
}
