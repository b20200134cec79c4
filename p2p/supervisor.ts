/**
 * Keeps the node connected: dials every target that has no admitted link, with exponential
 * back-off and jitter, and without end for bootstrap peers and for every peer that was once
 * admitted. libp2p's own reconnection gives up after about a minute (`network.md`), so it is not
 * used.
 */
import type { Clock, Log, PeerName } from '#ledger/ports.ts';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';
import { Addresses, DISCOVERED_FAILURES_MAX, peerIn } from './addresses.ts';
import type { Target } from './addresses.ts';
import type { Counters } from './counters.ts';
import { nameOf } from './failures.ts';
import { TABLE_MAX } from './limits.ts';
import type { Links } from './links.ts';
import { every } from '#ledger/every.ts';
import { deadline } from './timers.ts';
import { X0tError } from '#ledger/errors.ts';

export interface Backoff {
  readonly first_ms: number;
  /** The longest pause; what a healed partition waits at most, besides a dial under way. */
  readonly max_ms: number;
}
export const BACKOFF: Backoff = { first_ms: 500, max_ms: 15_000 };
/** A peer of another chain, or one that this node refuses, is asked again no sooner. */
export const REFUSED_MS = 60_000;
/** A dial that takes longer counts as failed. */
const DIAL_MS_MAX = 10_000;
const TICK_MS = 200;
const DIALS_MAX = 16;
/**
 * Of two peers that know each other, the one with the greater name dials later, so that mostly one
 * link results.
 */
const YIELD_MS = 300;

export interface SupervisorParts {
  readonly self: PeerName;
  readonly clock: Clock;
  readonly log: Log;
  readonly links: Links;
  readonly counters: Counters;
  readonly dial: (addrs: Multiaddr[], signal: AbortSignal) => Promise<Connection>;
  /** Milliseconds for which `peer` is refused (deny list, ban); 0 when it is welcome. */
  readonly refusedFor_ms: (peer: PeerName) => number;
  readonly backoff: Backoff;
  /** Bootstrap addresses that an operator configured: these are dialled for good. */
  readonly configured: ReadonlySet<string>;
}

export class Supervisor {
  readonly addresses = new Addresses();
  readonly #parts: SupervisorParts;
  /** Peers that are not dialled, wherever they say that they listen. */
  readonly #undialled = new Set<PeerName>();
  #stop: (() => void) | undefined;
  #dialling = 0;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#stop = every(this.#parts.clock, TICK_MS, () => this.#tick());
    this.#tick();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** A bootstrap multiaddr; without `/p2p/...` any peer of the chain may answer there. */
  bootstrap(addr: string): void {
    const peer = peerIn(addr);
    if (peer === this.#parts.self) return;
    if (peer !== undefined) this.#undialled.delete(peer);
    this.addresses.add(peer, [addr], 'bootstrap', this.#parts.clock.monotonic_ms());
  }

  /** Where the ledger says that a peer is: full multiaddrs. See `Addresses.tell`. */
  tell(peer: PeerName, addrs: readonly string[], isSought: boolean): void {
    if (peer === this.#parts.self) return;
    if (isSought && addrs.length > 0) this.#undialled.delete(peer);
    if (this.#undialled.has(peer)) return;
    this.addresses.tell(peer, addrs, isSought, this.#parts.clock.monotonic_ms());
  }

  /** Forgets where these peers listen, but for what is configured; those of before are free. */
  setUndialled(peers: ReadonlySet<PeerName>): void {
    this.#undialled.clear();
    for (const peer of peers) this.#forget(peer);
  }

  #forget(peer: PeerName): void {
    const { configured } = this.#parts;
    const isConfigured = [...configured].some((addr) => peerIn(addr) === peer);
    if (!isConfigured && this.#undialled.size < TABLE_MAX) this.#undialled.add(peer);
    const target = this.addresses.get(peer);
    if (target === undefined) return;
    this.addresses.keepOnly(target, (addr) => configured.has(addr));
  }

  /** Addresses at which `peer` says that it listens, or where mDNS saw it. */
  learn(peer: PeerName, addrs: readonly string[], origin: 'admitted' | 'discovered'): void {
    if (peer === this.#parts.self || this.#undialled.has(peer)) return;
    const full = addrs.map((addr) => (peerIn(addr) === undefined ? `${addr}/p2p/${peer}` : addr));
    const wait_ms = peer < this.#parts.self ? YIELD_MS : 0;
    this.addresses.add(peer, full, origin, this.#parts.clock.monotonic_ms() + wait_ms);
  }

  /** The peer was admitted: its next loss starts with a short pause. */
  admitted(peer: PeerName, connection: Connection): void {
    const target = this.addresses.get(peer);
    if (connection.direction === 'outbound') {
      const addr = connection.remoteAddr.toString();
      if (target === undefined) this.learn(peer, [addr], 'admitted');
      else this.addresses.worked(peer, peerIn(addr) === undefined ? `${addr}/p2p/${peer}` : addr);
    }
    if (target === undefined) return;
    target.failures = 0;
    target.lastFailure = undefined;
    target.lastReason = undefined;
    if (target.origin === 'discovered') target.origin = 'admitted';
  }

  /**
   * The peer went down, or its hello failed with `code` (and the peer's `reason`, if it was the one
   * that refused): when to dial again.
   */
  lost(peer: PeerName, code: string, reason?: unknown): void {
    const target = this.addresses.get(peer);
    if (target !== undefined) this.#failed(target, code, reason);
  }

  /** Dials `peer` at once, if it is a target: what spoke against it is gone. */
  retry(peer: PeerName): void {
    const target = this.addresses.get(peer);
    if (target !== undefined) target.next_ms = 0;
  }

  /** Dials at once what is not connected: an operator took peers off the deny list. */
  retryNow(): void {
    for (const target of this.addresses.all()) target.next_ms = 0;
    if (this.#stop !== undefined) this.#tick();
  }

  #tick(): void {
    const now = this.#parts.clock.monotonic_ms();
    for (const target of this.addresses.all()) {
      if (this.#dialling >= DIALS_MAX) return;
      if (target.dialling || now < target.next_ms) continue;
      if (target.peer !== undefined && this.#parts.links.get(target.peer) !== undefined) continue;
      const refused_ms = target.peer === undefined ? 0 : this.#parts.refusedFor_ms(target.peer);
      if (refused_ms > 0) target.next_ms = now + Math.min(refused_ms, REFUSED_MS);
      else void this.#dial(target);
    }
  }

  /** Never rejects. The back-off of a dial that connects is settled by `admitted` or `lost`. */
  async #dial(target: Target): Promise<void> {
    const { clock, counters, self } = this.#parts;
    const limit = deadline(
      clock,
      DIAL_MS_MAX,
      () => new X0tError('dial_timeout', 'The peer does not answer.'),
    );
    target.dialling = true;
    this.#dialling += 1;
    try {
      const addrs = addrsToDial(target).map((addr) => multiaddr(addr));
      const connection = await this.#parts.dial(addrs, limit.signal);
      counters.add('dials_total', 'ok');
      target.peer = connection.remotePeer.toString();
      // Until the hello is through, the next dial waits as after a failure.
      target.next_ms = clock.monotonic_ms() + this.#pause_ms(target.failures);
      if (target.peer === self) this.addresses.remove(target);
    } catch (error) {
      counters.add('dials_total', nameOf(error));
      this.#failed(target, nameOf(error));
    } finally {
      limit.clear();
      target.dialling = false;
      this.#dialling -= 1;
    }
  }

  #failed(target: Target, code: string, reason?: unknown): void {
    const { clock, log } = this.#parts;
    const refused = code === 'foreign_chain' || (code === 'hello_refused' && isLasting(reason));
    target.failures += 1;
    target.lastFailure = code;
    target.lastReason = typeof reason === 'string' ? reason : undefined;
    const pause_ms = Math.max(this.#pause_ms(target.failures - 1), refused ? REFUSED_MS : 0);
    target.next_ms = clock.monotonic_ms() + pause_ms;
    if (target.origin === 'discovered' && target.failures >= DISCOVERED_FAILURES_MAX)
      this.addresses.remove(target);
    log.debug({ target: target.key, code, failures: target.failures, pause_ms }, 'no link to peer');
  }

  /**
   * Exponential with a jitter of a quarter either way, so that nodes that fell together do not
   * dial together.
   */
  #pause_ms(failures: number): number {
    const { first_ms, max_ms } = this.#parts.backoff;
    const base = Math.min(max_ms, first_ms * 2 ** Math.min(failures, 20));
    return Math.round(base * (0.75 + Math.random() / 2));
  }
}

/**
 * Whether what the peer said of this node's hello stays as it is. What it judges by the ledger (no
 * member yet, isolated) changes with an event, so it is asked with the usual back-off.
 */
function isLasting(reason: unknown): boolean {
  return reason === 'foreign_chain' || reason === 'hello_invalid';
}

/**
 * Addresses for one dial: libp2p takes none that name the peer together with some that do not. Bare
 * ones come from the configuration and get every other dial, as another peer may answer there now.
 */
function addrsToDial(target: Target): string[] {
  const named = target.addrs.filter((addr) => peerIn(addr) !== undefined);
  const bare = target.addrs.filter((addr) => peerIn(addr) === undefined);
  const takeBare = named.length === 0 || (bare.length > 0 && target.failures % 2 === 1);
  return takeBare ? bare : named;
}
