import { blocksFrom, readSealed } from './archive.ts';
import { AcceptedView } from './accepted-view.ts';
import type { Block } from './block.ts';
import type { Chain } from './chain.ts';
import { decode } from './codec.ts';
import { decodeCommit } from './commit.ts';
import { codeOf } from './errors.ts';
import { entryLeaf } from './event.ts';
import type { Body, Entry } from './event.ts';
import { encodeBlock } from './block.ts';
import { Fold } from './fold.ts';
import type { FinalEvent } from './fold.ts';
import { decodeRef } from './header.ts';
import type { Ref } from './header.ts';
import { BlockIntake } from './intake.ts';
import { storeKeys } from './keys.ts';
import { LogReader } from './log-reader.ts';
import { Orderer } from './orderer.ts';
import { Pool } from './pool.ts';
import type { PoolLimits } from './pool.ts';
import { readPending } from './pool-store.ts';
import type {
  BlockStore,
  Clock,
  Entropy,
  GossipVerdict,
  Id,
  Log,
  Network,
  PeerName,
  Verifier,
} from './ports.ts';
import type { Rows } from './projection.ts';
import type { Pace } from './propose.ts';
import type { Schema } from './reducer.ts';
import { Replica } from './replica.ts';
import type { Restored } from './replica-ports.ts';
import { Submissions } from './submissions.ts';
import type { Self } from './submissions.ts';
import { AntiEntropy } from '#ledger/sync/anti-entropy.ts';
import { Fetcher } from '#ledger/sync/fetcher.ts';
import { decodePoolItems } from '#ledger/sync/messages.ts';
import type { PoolItem } from '#ledger/sync/messages.ts';
import { SyncServer } from '#ledger/sync/server.ts';
import { Spreader } from '#ledger/sync/spread.ts';
import { VerifiedEntries } from './verified.ts';

export interface CorePorts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly store: BlockStore;
  readonly verifier: Verifier;
  readonly network: Network;
  readonly log: Log;
}

/** What a node may choose; see `node/config.ts` for the defaults and reasons. */
export interface CoreConfig extends Pace {
  readonly pool: PoolLimits;
  /** Others' events are carried here after this time, times one plus the rank of this node. */
  readonly fallback_ms: number;
  readonly antiEntropy_ms: number;
}

/** The two read levels (consensus.md 2.15). */
export type Level = 'accepted' | 'final';

/** Callers that wait for finality at once. */
const WAITERS_MAX = 100_000;
/** Pool events of one message that are checked together: what forged ones can cost. */
const EVENTS_AT_ONCE = 32;

/**
 * A node above its ports: the replica with everything that feeds it. Runs unchanged on real
 * adapters and in a simulator. `open` reads the store; `start` joins the network; `stop` leaves
 * what was acknowledged in the store.
 */
export class Core {
  readonly chain: Chain;
  readonly replica: Replica;
  readonly intake: BlockIntake;
  readonly submissions: Submissions;
  readonly antiEntropy: AntiEntropy;
  readonly fetcher: Fetcher;
  readonly log: LogReader;
  readonly #ports: CorePorts;
  readonly #verified = new VerifiedEntries();
  readonly #server: SyncServer;
  readonly #spreader: Spreader;
  readonly #accepted: AcceptedView;
  readonly #waiters = new Map<Id, Set<(event: FinalEvent) => void>>();
  readonly #listeners = new Set<(events: readonly FinalEvent[]) => void>();
  readonly #peerOfAuthor: readonly Id[];
  #failure: unknown;
  #onFailure: ((error: unknown) => void) | undefined;

  private constructor(
    chain: Chain,
    self: Self,
    config: CoreConfig,
    ports: CorePorts,
    restored: Restored,
  ) {
    this.chain = chain;
    this.#ports = ports;
    const { clock, entropy, store, verifier, network, log } = ports;
    const verified = this.#verified;
    const author =
      self.author === undefined ? undefined : { index: self.author, signer: self.signer };
    this.#peerOfAuthor = chain.committee.validators.map(({ actor }) => actor);
    this.replica = new Replica(
      chain,
      { clock, store, log },
      this.#host(),
      config,
      author,
      restored,
    );
    this.intake = new BlockIntake(chain, this.replica, verifier, verified, clock, log);
    this.submissions = new Submissions(
      chain,
      this.replica,
      verifier,
      verified,
      clock,
      self,
      config.fallback_ms,
    );
    this.fetcher = new Fetcher(this.replica, this.intake, network, clock, entropy, log);
    this.#server = new SyncServer(chain, this.replica, store, clock);
    const parts = { replica: this.replica, intake: this.intake, server: this.#server, network };
    const take = async (items: readonly PoolItem[], from: PeerName): Promise<void> => {
      await this.#takeEvents(items, false, from);
    };
    this.antiEntropy = new AntiEntropy(
      chain.committee,
      parts,
      { clock, entropy, log },
      take,
      config.antiEntropy_ms,
    );
    this.#spreader = new Spreader(chain, this.replica, network, clock, log, self);
    this.log = new LogReader(chain, this.replica, store);
    this.#accepted = new AcceptedView(this.replica, clock);
  }

  /** Reads the store and puts the ledger together. Throws `store_corrupt` or `schema_mismatch`. */
  static async open(
    chain: Chain,
    schema: Schema,
    self: Self,
    config: CoreConfig,
    ports: CorePorts,
  ): Promise<Core> {
    const restored = await restore(chain, schema, self, config.pool, ports);
    return new Core(chain, self, config, ports, restored);
  }

  #host(): ConstructorParameters<typeof Replica>[2] {
    return {
      publish: (block: Block) => this.#publish(encodeBlock(block)),
      fetch: (refs: readonly Ref[], from: string | undefined) => this.fetcher.want(refs, from),
      finals: (events: readonly FinalEvent[]) => this.#tellFinals(events),
      failed: (error: unknown) => {
        this.#failure = error;
        this.#onFailure?.(error);
      },
      maySeal: () => this.antiEntropy.isInStep,
      isConnected: (author: number) =>
        this.#ports.network.peers().some(({ actor }) => actor === this.#peerOfAuthor[author]),
    };
  }

  /** Registers the handlers on the network port; call it before the network starts. */
  attach(): void {
    const { network } = this.#ports;
    network.subscribe('block', (message, from) =>
      this.#gossip(from, async () => {
        const verdict = await this.intake.take(message, from);
        return verdict === 'accept' && !this.#mustSpread() ? 'ignore' : verdict;
      }),
    );
    network.subscribe('events', (message, from) =>
      this.#gossip(from, () => this.#takeEvents(decodePoolItems(message), false, from)),
    );
    this.#server.serve(network, {
      frontierOf: (peer, frontier) => this.antiEntropy.heard(peer, frontier),
      given: async (items, isOrigin, from) => {
        await this.#takeEvents(items, isOrigin, from);
      },
    });
    network.onPeer(({ peer }, change) => {
      if (change === 'up') void this.antiEntropy.exchange(peer);
      this.replica.wake();
    });
  }

  /** Begins to seal, spread and sync; the last own block goes out again (consensus.md 2.12). */
  start(): void {
    this.antiEntropy.start();
    this.#spreader.start();
    this.replica.start();
    const { last } = this.replica;
    const sealed = last && readSealed(this.#ports.store, last);
    if (sealed) this.#publish(sealed);
  }

  #publish(sealed: Uint8Array): void {
    this.#ports.network.publish('block', sealed).catch((error: unknown) => {
      this.#ports.log.warn({ code: codeOf(error) }, 'a block could not be published');
    });
  }

  async stop(): Promise<void> {
    this.antiEntropy.stop();
    this.#spreader.stop();
    this.fetcher.stop();
    this.intake.stop();
    await this.replica.stop();
  }

  /** Called once when the store fails; the node then ends. */
  onFailure(listener: (error: unknown) => void): void {
    this.#onFailure = listener;
    if (this.#failure !== undefined) listener(this.#failure);
  }

  /**
   * Whether others may need a block from this node. Its author sends it to all that it is linked
   * to, so in a committee where everybody is linked to everybody handing it on would double the
   * work of all; a validator without a link to the author fetches it as a parent. Observers and a
   * torn mesh need it.
   */
  #mustSpread(): boolean {
    const { committee } = this.chain;
    let validators = 0;
    for (const { actor } of this.#ports.network.peers()) {
      if (committee.indexOf(actor) === undefined) return true;
      validators += 1;
    }
    return validators < committee.size - 1;
  }

  async #gossip(from: PeerName, take: () => Promise<GossipVerdict>): Promise<GossipVerdict> {
    try {
      return await take();
    } catch (error) {
      const code = codeOf(error);
      if (code === 'engine_closed' || code === 'stopping') return 'ignore';
      this.#ports.network.penalise(from, code);
      return 'reject';
    }
  }

  /**
   * Pool events from a peer. What is merely late or full here is no fault of the peer's; after a
   * fault the rest is not looked at, nor anything of a peer that has gone. Only a message whose
   * every signature was found to hold is passed on: who passes on forged ones is banned for them.
   */
  async #takeEvents(
    items: readonly PoolItem[],
    isOrigin: boolean,
    from: PeerName,
  ): Promise<GossipVerdict> {
    const { network } = this.#ports;
    let isForged = false;
    let isVerified = true;
    for (let at = 0; at < items.length && !isForged; at += EVENTS_AT_ONCE) {
      if (!network.peers().some(({ peer }) => peer === from)) return 'ignore';
      const results = await Promise.allSettled(
        // what an observer hands over, it has acknowledged
        items
          .slice(at, at + EVENTS_AT_ONCE)
          .map(({ entry, coseKey }) =>
            this.submissions.submit(entry, coseKey, isOrigin, isOrigin, from),
          ),
      );
      for (const result of results) {
        if (result.status === 'fulfilled') {
          isVerified &&= this.#verified.has(entryLeaf(result.value));
          continue;
        }
        isVerified = false;
        const code = codeOf(result.reason);
        this.submissions.refused(code);
        if (HARMLESS.has(code)) continue;
        isForged = true;
        network.penalise(from, code);
      }
    }
    if (isForged) return 'reject';
    return isVerified ? 'accept' : 'ignore';
  }

  /**
   * Takes a signed event from a client; resolves once it is kept. See `Submissions.submit`; `from`
   * is the client's address.
   */
  submit(entry: Uint8Array, coseKey: Uint8Array, from?: string): Promise<Entry> {
    return this.#counted(this.submissions.submit(entry, coseKey, true, false, from));
  }

  /** Authors an event as this node. See `Submissions.author`. */
  author(kind: string, body: Body, isSigned: boolean): Promise<Entry> {
    return this.#counted(this.submissions.author(kind, body, isSigned));
  }

  async #counted(entry: Promise<Entry>): Promise<Entry> {
    try {
      return await entry;
    } catch (error) {
      this.submissions.refused(codeOf(error));
      throw error;
    }
  }

  /** Resolves when the event is final; `undefined` after `timeout_ms`, or when too many wait. */
  waitFinal(id: Id, timeout_ms: number): Promise<FinalEvent | undefined> {
    const known = this.log.finalEvent(id);
    if (known) return Promise.resolve(known);
    if (this.#waiters.size >= WAITERS_MAX) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, waiters);
      const done = (event: FinalEvent | undefined) => {
        cancel();
        waiters.delete(done);
        if (waiters.size === 0) this.#waiters.delete(id);
        resolve(event);
      };
      const cancel = this.#ports.clock.after(timeout_ms, () => done(undefined));
      waiters.add(done);
    });
  }

  /**
   * Hears of final events in order, after they are in the store; the returned function ends it. It
   * must not throw.
   */
  onFinal(listener: (events: readonly FinalEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tellFinals(events: readonly FinalEvent[]): void {
    for (const listener of this.#listeners) listener(events);
    for (const event of events) {
      for (const waiter of this.#waiters.get(event.entry.id) ?? []) waiter(event);
    }
  }

  /** A projection's rows at a level. */
  rows(projection: string, level: Level): Pick<Rows, 'get'> {
    return level === 'final'
      ? this.replica.fold.reducer.rowsOf(projection)
      : this.#accepted.rows(projection);
  }
}

/** Refusals that a well-behaved peer can cause: it does not know this node's state. */
const HARMLESS = new Set([
  'replayed',
  'expired',
  'slot_pending',
  'actor_quota',
  'pool_full',
  'overloaded',
  'not_member',
  'too_many_lanes',
  'stopping',
  'store_failed',
  'engine_closed',
  'unknown_kind',
]);

/**
 * Puts the ledger together from the store: the fold's state, the DAG above the horizon, and the
 * pool.
 */
async function restore(
  chain: Chain,
  schema: Schema,
  self: Self,
  limits: PoolLimits,
  { store, clock }: CorePorts,
): Promise<Restored> {
  const fold = new Fold(store, chain.genesis, schema);
  const orderer = new Orderer(
    chain.id,
    chain.committee,
    chain.genesis.created_ms,
    fold.ordererState,
  );
  const blocks: Block[] = [];
  for await (const block of blocksFrom(
    store,
    Math.max(1, orderer.dag.horizon + 1),
    chain.id,
    chain.committee,
  )) {
    const { ref, header, entries } = block;
    orderer.accept({
      ...ref,
      parents: header.parents,
      ts_ms: header.ts_ms,
      hasPayload: entries.length > 0,
    });
    blocks.push(block);
  }
  markOrdered(orderer, store);
  if (!fold.ordererState) {
    await store.write(fold.ops(orderer.state), { sync: true });
    fold.written();
  }
  const pool = new Pool(limits);
  for await (const { entry, coseKey, isOwn } of readPending(store)) {
    if (!fold.isFinalEntry(entry)) {
      pool.restore({ entry, coseKey, isOwn, due_ms: isOwn ? 0 : clock.monotonic_ms() });
    }
  }
  const own = store.get(storeKeys.ownLast);
  const ownLast = own && decodeRef(decode(own));
  const hasForgotten =
    store.get(storeKeys.lost) !== undefined ||
    blocks.some(({ ref }) => ref.author === self.author && ref.round > (ownLast?.round ?? 0));
  return { fold, orderer, pool, blocks, ownLast, hasForgotten };
}

/**
 * The blocks above the horizon that commits have ordered: those of all commits whose leader is
 * above it.
 */
function markOrdered(orderer: Orderer, store: Pick<BlockStore, 'get'>): void {
  for (let { index } = orderer.state.last; index > 0; index--) {
    const row = store.get(storeKeys.commit(index));
    if (!row) return;
    const { leader, blocks } = decodeCommit(row);
    if (leader.round <= orderer.dag.horizon) return;
    for (const ref of blocks) orderer.markOrdered(ref);
  }
}
