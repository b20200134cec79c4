import { readSealed } from './archive.ts';
import { AcceptedView } from './accepted-view.ts';
import type { Block } from './block.ts';
import { Certifier } from './certifier.ts';
import type { Chain } from './chain.ts';
import { CheckpointStore } from './checkpoint-store.ts';
import type { HeldCheckpoints } from './checkpoint-store.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Committee } from './committee.ts';
import { codeOf } from './errors.ts';
import type { Body, Entry } from './event.ts';
import { encodeBlock } from './block.ts';
import { EpochGate } from './epoch-gate.ts';
import { EventIntake } from './event-intake.ts';
import { FinalWatch } from './final-watch.ts';
import type { FinalEvent } from './fold.ts';
import { Gossip } from './gossip.ts';
import type { Ref } from './header.ts';
import type { Self } from './held-keys.ts';
import { IdleCut } from './idle-cut.ts';
import { BlockIntake } from './intake.ts';
import { KnownPeers } from './known-peers.ts';
import { LogReader } from './log-reader.ts';
import { completeTree } from './log-tree.ts';
import type { PoolLimits } from './pool.ts';
import type {
  BlockStore,
  Clock,
  Entropy,
  Id,
  Log,
  Network,
  PeerInfo,
  PeerName,
  Verifier,
} from './ports.ts';
import type { Rows } from './projection.ts';
import type { Pace } from './propose.ts';
import type { Schema } from './reducer.ts';
import { ReceiptMaker } from './receipt-maker.ts';
import { Replica } from './replica.ts';
import type { ReplicaHost, Restored } from './replica-ports.ts';
import { restore } from './restore.ts';
import { Returning } from './returning.ts';
import { Submissions } from './submissions.ts';
import { install } from '#ledger/snapshot/install.ts';
import type { Retention } from '#ledger/snapshot/pruner.ts';
import { SnapshotService } from '#ledger/snapshot/service.ts';
import { AntiEntropy } from '#ledger/sync/anti-entropy.ts';
import { CheckpointSync } from '#ledger/sync/checkpoint-sync.ts';
import { Fetcher } from '#ledger/sync/fetcher.ts';
import type { PoolItem } from '#ledger/sync/messages.ts';
import { SyncServer } from '#ledger/sync/server.ts';
import { Spreader } from '#ledger/sync/spread.ts';
import type { SyncMode } from '#ledger/sync/way-up.ts';
import { VerifiedEntries } from './verified.ts';
import { WatchedStore } from './watched-store.ts';
import { Witness } from './witness.ts';

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
  /** How a node that is far behind comes up. */
  readonly sync: SyncMode;
  /** How much of the final log is kept with its blocks. */
  readonly retention: Retention;
}

/** The two read levels (consensus.md 2.15). */
export type Level = 'accepted' | 'final';

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
  readonly #events: EventIntake;
  readonly antiEntropy: AntiEntropy;
  readonly fetcher: Fetcher;
  readonly log: LogReader;
  readonly certifier: Certifier;
  readonly receipts: ReceiptMaker;
  readonly snapshots: SnapshotService;
  readonly #checkpoints: CheckpointSync;
  readonly #idle: IdleCut;
  readonly #ports: CorePorts;
  readonly #gossip: Gossip;
  readonly #server: SyncServer;
  readonly #gate: EpochGate;
  readonly #witness: Witness;
  readonly #returning: Returning;
  readonly #spreader: Spreader;
  readonly #accepted: AcceptedView;
  readonly #finals: FinalWatch;
  readonly #epochListeners = new Set<(committee: Committee) => void>();
  #failure: unknown;
  #onFailure: ((error: unknown) => void) | undefined;

  private constructor(
    chain: Chain,
    self: Self,
    schema: Schema,
    config: CoreConfig,
    ports: CorePorts,
    restored: Restored,
    held: HeldCheckpoints,
  ) {
    this.chain = chain;
    const { clock, entropy, store, verifier, log } = ports;
    const network = new KnownPeers(ports.network, (id) => this.actorOf(id));
    this.#ports = { ...ports, network };
    this.#gossip = new Gossip(network, () => this.replica.committee, log);
    const verified = new VerifiedEntries();
    this.#finals = new FinalWatch(clock);
    this.replica = new Replica(
      chain,
      { clock, store, log },
      this.#host(),
      config,
      self,
      restored,
    );
    this.intake = new BlockIntake(chain, this.replica, verifier, verified, clock, log, (from) =>
      this.antiEntropy.ahead(from),
    );
    this.submissions = new Submissions(
      chain,
      this.replica,
      verifier,
      verified,
      clock,
      self,
      config.fallback_ms,
    );
    this.#events = new EventIntake(this.submissions, verified, network);
    this.fetcher = new Fetcher(this.replica, this.intake, network, clock, entropy, log);
    this.#server = new SyncServer(chain, this.replica, store, clock);
    this.certifier = new Certifier(chain, self, { clock, store, verifier, log }, {
      publish: (vote) => this.#gossip.publish('checkpoint', vote),
      haltFinality: () => this.replica.haltFinality(),
      mayVote: () => !this.replica.hasForgotten,
    }, held);
    this.receipts = new ReceiptMaker(chain.id, store, this.certifier);
    this.#checkpoints = new CheckpointSync(this.certifier, network, { clock, entropy, log });
    this.#gate = new EpochGate(this.replica, this.certifier, clock, () => {
      for (const { peer } of network.peers()) void this.#checkpoints.ask(peer);
    });
    const { replica, intake, certifier } = this;
    this.snapshots = new SnapshotService({
      chain,
      schema,
      self,
      replica,
      certifier,
      config,
      ports: this.#ports,
      newest: held.own.at(-1),
      installed: () => this.#installed(),
    });
    const snapshots = this.snapshots.sync;
    const parts = { replica, intake, server: this.#server, gate: this.#gate, network, snapshots };
    const take = async (items: readonly PoolItem[], from: PeerName): Promise<void> => {
      await this.#events.take(items, false, from);
    };
    this.antiEntropy = new AntiEntropy(
      parts,
      { clock, entropy, log },
      take,
      config,
    );
    this.#spreader = new Spreader(this.replica, network, clock, log);
    this.log = new LogReader(chain, this.replica, store);
    this.#witness = new Witness(
      this.replica,
      { store, clock, log },
      {
        isConvicted: (epoch, author) => this.replica.fold.isConvicted(epoch, author),
        author: (kind, body) => this.author(kind, body, true),
      },
      config.fallback_ms,
    );
    this.#returning = new Returning(this.replica, { store, clock, entropy, log }, {
      isInStep: () => this.antiEntropy.isInStep,
      author: (kind, body) => this.author(kind, body, true),
    });
    this.#accepted = new AcceptedView(this.replica, clock);
    this.#idle = new IdleCut(this.replica, clock);
  }

  /** Reads the store and puts the ledger together. Throws `store_corrupt` or `schema_mismatch`. */
  static async open(
    chain: Chain,
    schema: Schema,
    self: Self,
    config: CoreConfig,
    ports: CorePorts,
  ): Promise<Core> {
    const store = new WatchedStore(ports.store);
    await install(store);
    await completeTree(store);
    const watched = { ...ports, store };
    const restored = await restore(chain, schema, self.actor, config.pool, watched);
    const held = await CheckpointStore.read(store);
    const core = new Core(chain, self, schema, config, watched, restored, held);
    store.failed = (error) => core.#fail(error);
    return core;
  }

  #host(): ReplicaHost {
    return {
      publish: (block: Block) => this.#gossip.publish('block', encodeBlock(block)),
      fetch: (refs: readonly Ref[], from: string | undefined) => this.fetcher.want(refs, from),
      finals: (events: readonly FinalEvent[]) => {
        this.#idle.arm();
        this.#finals.tell(events);
      },
      cut: (checkpoints: readonly Checkpoint[]) => {
        for (const checkpoint of checkpoints) this.snapshots.shelf.cut(checkpoint);
        this.certifier.cut(checkpoints);
        void this.snapshots.pruner.prune();
        this.#checkpoints.expect();
      },
      wantsState: () => this.snapshots.shelf.isWanted,
      stands: () => this.snapshots.shelf.stands(),
      failed: (error: unknown) => this.#fail(error),
      maySeal: () => this.antiEntropy.isInStep,
      forgot: () => this.#returning.begin(),
      mayReturn: () => this.#returning.mayReturn,
      equivocated: (twins) => this.#witness.saw(twins),
      ended: () => this.#gate.begin(),
      entered: () => {
        this.intake.entered();
        this.antiEntropy.entered();
        this.#spreader.entered();
        this.#returning.begin();
        for (const listener of this.#epochListeners) listener(this.replica.committee);
      },
      dueTime_ms: (id: Id) => this.submissions.dueTime_ms(id),
      isConnected: (actor: Id) => this.#ports.network.peers().some((one) => one.actor === actor),
    };
  }

  /** The actor with this id, or whose key it is now or in this epoch's committee; else the id. */
  actorOf(id: Id): Id {
    const { committee, fold: { reducer } } = this.replica;
    if (reducer.keyOf(id) !== undefined) return id;
    const actor = reducer.actorOfKey(id);
    if (actor === undefined) return id;
    const author = committee.indexOf(actor);
    const isSeated = author !== undefined && committee.keyIdAt(author) === id;
    return isSeated || reducer.keyOf(actor) === id ? actor : id;
  }

  /** The linked peers, as the ledger knows them (`KnownPeers`). */
  peers(): readonly PeerInfo[] {
    return this.#ports.network.peers();
  }

  /** The node holds keys that it did not hold before: what waited for them goes on. */
  keysChanged(): void {
    this.certifier.start();
    this.replica.wake();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#onFailure?.(error);
  }

  /** Registers the handlers on the network port; call it before the network starts. */
  attach(): void {
    const { network } = this.#ports;
    this.#gossip.attach({ blocks: this.intake, events: this.#events, votes: this.certifier });
    this.#server.serve(network, {
      frontierOf: (peer, frontier) => this.antiEntropy.heard(peer, frontier),
      given: async (items, isOrigin, from) => {
        await this.#events.take(items, isOrigin, from);
      },
    });
    this.#checkpoints.serve();
    this.snapshots.attach();
    network.onPeer(({ peer }, change) => {
      if (change === 'up') {
        void this.antiEntropy.exchange(peer);
        void this.#checkpoints.ask(peer);
      }
      this.replica.wake();
    });
  }

  /** Begins to seal, spread and sync; the last own block goes out again (consensus.md 2.12). */
  start(): void {
    this.antiEntropy.start();
    this.#spreader.start();
    this.replica.start();
    this.certifier.start();
    if (this.certifier.uncertified) this.#checkpoints.expect();
    this.#gate.begin();
    this.#witness.start();
    this.#returning.begin();
    this.#idle.arm();
    void this.snapshots.start();
    const { committee, last } = this.replica;
    const sealed = last && readSealed(this.#ports.store, last, committee.epoch);
    if (sealed) this.#gossip.publish('block', sealed);
  }

  /** The replica goes on from a snapshot: what others know of it is old. */
  #installed(): void {
    this.submissions.reloaded();
    this.intake.entered();
    this.antiEntropy.entered();
    this.#spreader.entered();
    this.#returning.begin();
    for (const listener of this.#epochListeners) listener(this.replica.committee);
    this.#finals.tell([]);
  }

  async stop(): Promise<void> {
    this.antiEntropy.stop();
    this.snapshots.stop();
    this.#spreader.stop();
    this.#gate.stop();
    this.#witness.stop();
    this.#returning.stop();
    this.fetcher.stop();
    this.intake.stop();
    this.#checkpoints.stop();
    this.#idle.stop();
    await this.replica.stop();
    await this.certifier.stop();
    // what still writes finds the store closed
    this.#onFailure = undefined;
  }

  /** Called once when the store fails; the node then ends. Register it before `start`. */
  onFailure(listener: (error: unknown) => void): void {
    this.#onFailure = listener;
    if (this.#failure !== undefined) listener(this.#failure);
  }

  /**
   * Takes a signed event from a client; resolves once it is kept. See `Submissions.submit`; `from`
   * is the client's address.
   */
  submit(entry: Uint8Array, coseKey: Uint8Array, from?: string): Promise<Entry> {
    return this.#counted(this.submissions.submit(entry, coseKey, true, false, from));
  }

  /** Authors an event as this node. See `Submissions.author`. */
  author(kind: string, body: Body, isSigned: boolean, onBehalfOf?: string): Promise<Entry> {
    return this.#counted(this.submissions.author(kind, body, isSigned, onBehalfOf));
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
    return known ? Promise.resolve(known) : this.#finals.wait(id, timeout_ms);
  }

  /**
   * Hears of final events in order, after they are in the store; the returned function ends it. It
   * must not throw. An empty list says that a snapshot took the place of a part of the log.
   */
  onFinal(listener: (events: readonly FinalEvent[]) => void): () => void {
    return this.#finals.listen(listener);
  }

  /** Hears of every epoch that this node enters; the returned function ends it. */
  onEpoch(listener: (committee: Committee) => void): () => void {
    this.#epochListeners.add(listener);
    return () => this.#epochListeners.delete(listener);
  }

  /** A projection's rows at a level. */
  rows(projection: string, level: Level): Pick<Rows, 'get'> {
    return level === 'final'
      ? this.replica.fold.reducer.rowsOf(projection)
      : this.#accepted.rows(projection);
  }
}
