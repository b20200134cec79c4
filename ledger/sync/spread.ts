import { codeOf } from '#ledger/errors.ts';
import type { Clock, Id, Log, Network } from '#ledger/ports.ts';
import type { Pending } from '#ledger/pool.ts';
import type { Replica } from '#ledger/replica.ts';
import { rendezvous } from '#ledger/submissions.ts';
import { encodeEventsRequest, encodePoolItems } from './messages.ts';
import type { PoolItem } from './messages.ts';
import { batches } from './server.ts';

const TICK_MS = 50;
/**
 * A validator's own event is normally in a block long before this; without a quorum it spreads by
 * gossip then.
 */
const GOSSIP_AFTER_MS = 500;
/** An observer gives an event to the next validator after this. */
const HAND_OVER_AGAIN_MS = 2000;
const TIMEOUT_MS = 5000;
/** How often others' events are looked through: every five seconds. */
const CLEAN_TICKS = 100;
/** Events looked at in one tick. */
const PER_TICK_MAX = 512;

/** Events whose spreading is remembered; past that all are told once more. */
const SPREAD_MAX = 100_000;

interface Spread {
  since_ms: number;
  tries: number;
  next_ms: number;
}

/** Verdicts that no later event changes. */
const TOO_LATE: ReadonlySet<string> = new Set(['expired', 'replayed', 'key_retired']);

/**
 * Who carries an event (wire.md): a validator puts its own events into its next block. What cannot
 * go there spreads in batches: an observer's events to a validator by rendezvous hash, a
 * validator's without a quorum to all it reaches.
 */
export class Spreader {
  readonly #replica: Replica;
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #spread = new Map<Id, Spread>();
  #ticks = 0;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(
    replica: Replica,
    network: Network,
    clock: Clock,
    log: Log,
  ) {
    this.#replica = replica;
    this.#network = network;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    if (this.#isStopped) return;
    this.#cancel = this.#clock.after(TICK_MS, () => {
      this.#tick();
      this.start();
    });
  }

  /** A new epoch: what was told to others before may find no carrier there. */
  entered(): void {
    this.#spread.clear();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /**
   * A node that seals nothing only hands others' events on. What is too late to be applied nobody
   * takes from it, and it was not this node that acknowledged it.
   */
  #clean(): void {
    if (this.#replica.author !== undefined) return;
    const { pool, fold } = this.#replica;
    const wall_ms = this.#clock.wall_ms();
    const late: Id[] = [];
    for (const { entry } of pool.others) {
      const verdict = fold.reducer.foresee(entry.event, wall_ms);
      if (TOO_LATE.has(verdict)) late.push(entry.id);
    }
    // own ones too, where their key was revoked or their actor removed: no verdict comes
    for (const { entry } of pool.values()) {
      if (!fold.reducer.counts(entry.event)) late.push(entry.id);
    }
    if (late.length > 0) this.#replica.discard(late);
  }

  #tick(): void {
    this.#ticks += 1;
    if (this.#ticks % CLEAN_TICKS === 0) this.#clean();
    if (this.#replica.pool.ownWaiting === 0) {
      this.#spread.clear();
      return;
    }
    const now_ms = this.#clock.monotonic_ms();
    if (this.#spread.size > SPREAD_MAX) this.#spread.clear();
    const due: Pending[] = [];
    for (const pending of this.#replica.pool.waitingSigned()) {
      if (!pending.isOwn || due.length >= PER_TICK_MAX) break;
      const isObserver = this.#replica.author === undefined;
      const known = this.#spread.get(pending.entry.id);
      const spread = known ?? {
        since_ms: now_ms,
        tries: 0,
        next_ms: isObserver ? now_ms : now_ms + GOSSIP_AFTER_MS,
      };
      if (!known) this.#spread.set(pending.entry.id, spread);
      if (spread.next_ms <= now_ms) due.push(pending);
    }
    if (due.length === 0) return;
    if (this.#replica.author === undefined) this.#handOver(due, now_ms);
    else if (this.#replica.isStuck) this.#gossip(due);
  }

  /** Once is enough: peers that come later take it by anti-entropy. */
  #gossip(due: readonly Pending[]): void {
    for (const { entry } of due) this.#note(entry.id, Number.POSITIVE_INFINITY);
    for (const batch of batches(due.flatMap(itemOf))) {
      this.#network.publish('events', encodePoolItems(batch)).catch((error: unknown) => {
        this.#log.debug({ code: codeOf(error) }, 'events could not be gossiped');
      });
    }
  }

  #handOver(due: readonly Pending[], now_ms: number): void {
    const connected = new Map(this.#network.peers().map(({ peer, actor }) => [actor, peer]));
    const validators = this.#replica.committee.validators
      .map(({ actor }) => actor)
      .filter((actor) => connected.has(actor));
    if (validators.length === 0) return;
    const perPeer = new Map<string, PoolItem[]>();
    for (const pending of due) {
      const { id } = pending.entry;
      const order = rendezvous(id, validators);
      const actor = order[(this.#spread.get(id)?.tries ?? 0) % order.length] as Id;
      const peer = connected.get(actor) as string;
      perPeer.set(peer, [...(perPeer.get(peer) ?? []), ...itemOf(pending)]);
      this.#note(id, now_ms + HAND_OVER_AGAIN_MS);
    }
    for (const [peer, items] of perPeer) void this.#give(peer, items);
  }

  #note(id: Id, next_ms: number): void {
    const spread = this.#spread.get(id);
    if (!spread) return;
    spread.tries += 1;
    spread.next_ms = next_ms;
  }

  async #give(peer: string, items: readonly PoolItem[]): Promise<void> {
    try {
      for (const batch of batches(items)) {
        const message = encodeEventsRequest({ give: batch, isOrigin: true });
        const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: 1024 };
        for await (const frame of this.#network.request(peer, 'events', message, limits)) {
          void frame;
        }
      }
    } catch (error) {
      this.#log.debug({ peer, code: codeOf(error) }, 'events could not be handed over');
    }
  }
}

function itemOf({ entry, coseKey }: Pending): PoolItem[] {
  return coseKey ? [{ entry: entry.bytes, coseKey }] : [];
}
