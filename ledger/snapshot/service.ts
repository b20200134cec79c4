import type { Certifier } from '#ledger/certifier.ts';
import type { Chain } from '#ledger/chain.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { codeOf, fail } from '#ledger/errors.ts';
import type { Self } from '#ledger/held-keys.ts';
import type { BlockStore, Clock, FrozenRows, Log, Network, Verifier } from '#ledger/ports.ts';
import type { PoolLimits } from '#ledger/pool.ts';
import { rememberedBy } from '#ledger/reducer.ts';
import type { Schema } from '#ledger/reducer.ts';
import type { Replica } from '#ledger/replica.ts';
import type { Restored } from '#ledger/replica-ports.ts';
import { restore } from '#ledger/restore.ts';
import { SnapshotServer } from '#ledger/sync/snapshot-server.ts';
import { SnapshotSync } from '#ledger/sync/snapshot-sync.ts';
import { settleInstalled } from './bare.ts';
import type { Offer } from './check.ts';
import { install } from './install.ts';
import { Pruner } from './pruner.ts';
import type { Retention } from './pruner.ts';
import { Shelf } from './shelf.ts';

export interface SnapshotServiceParts {
  readonly chain: Chain;
  readonly schema: Schema;
  readonly self: Self;
  readonly replica: Replica;
  readonly certifier: Certifier;
  readonly config: { readonly pool: PoolLimits; readonly retention: Retention };
  readonly ports: {
    readonly clock: Clock;
    readonly store: BlockStore;
    readonly verifier: Pick<Verifier, 'verify'>;
    readonly network: Network;
    readonly log: Log;
  };
  /** This node's newest checkpoint at the start. */
  readonly newest: Checkpoint | undefined;
  /** A snapshot is in place, and the replica goes on from it. */
  readonly installed: () => void;
}

/** All that a node does with snapshots: makes and gives them, takes one, and prunes below one. */
export class SnapshotService {
  readonly shelf: Shelf;
  readonly sync: SnapshotSync;
  readonly pruner: Pruner;
  readonly #server: SnapshotServer;
  readonly #parts: SnapshotServiceParts;
  #isInstalling = false;
  /** The store before a snapshot that is being put in place. */
  #before: FrozenRows | undefined;

  constructor(parts: SnapshotServiceParts) {
    this.#parts = parts;
    const { chain, schema, replica, certifier, config } = parts;
    const { clock, store, log, network, verifier } = parts.ports;
    const remembered = rememberedBy(schema);
    const fold = () => replica.fold;
    const wake = () => replica.wake();
    this.shelf = new Shelf({ store, clock, log, certifier, fold, wake }, parts.newest);
    this.#server = new SnapshotServer(store, certifier, this.shelf, remembered);
    this.sync = new SnapshotSync({
      chain,
      schema,
      replica,
      network,
      store,
      clock,
      verifier,
      log,
      install: (offer) => this.#install(offer),
    });
    const { shelf } = this;
    const size = () => replica.fold.size;
    this.pruner = new Pruner(
      { store, clock, log, certifier, shelf, size, remembered },
      config.retention,
    );
  }

  /**
   * While a snapshot is put in place, what is read of the store is neither old nor new; the fold's
   * rows are the old ones. Where it cannot be put in place that stays so until the node has ended.
   */
  get isInstalling(): boolean {
    return this.#isInstalling;
  }

  /** Registers the handler; call it before the network starts. */
  attach(): void {
    this.#server.serve(this.#parts.ports.network);
  }

  /** Reads what snapshots are held; then prunes. Never throws. */
  async start(): Promise<void> {
    try {
      await this.shelf.open();
      this.pruner.start();
    } catch (error) {
      this.#parts.ports.log.warn({ code: codeOf(error) }, 'held snapshots could not be read');
    }
  }

  stop(): void {
    this.shelf.stop();
    this.sync.stop();
    this.pruner.stop();
  }

  async #install({ head }: Offer): Promise<void> {
    const { replica, certifier, installed, ports } = this.#parts;
    const { fold } = replica;
    this.#isInstalling = true;
    await replica.reload(() => this.#load());
    if (replica.fold === fold) {
      // its sealed parts are for the next start: another attempt would drop them
      this.sync.stop();
      fail('stopping', 'A snapshot could not be put in place: the node ends.');
    }
    this.#isInstalling = false;
    // nobody should ask the old fold any more; who does must not find a view that is closed
    fold.readFrom(ports.store);
    await this.#before?.close();
    this.#before = undefined;
    await this.shelf.open();
    certifier.adopt(head.certificate);
    installed();
  }

  /** The ledger of the snapshot; bare events, which a store seldom keeps, wait on. */
  async #load(): Promise<Restored> {
    const { chain, schema, self, config, ports, replica } = this.#parts;
    this.shelf.cancel();
    const bare = [...replica.pool.values()].filter(({ entry }) => !entry.sign1);
    // members, keys and authorities are asked for meanwhile: as they were
    this.#before = ports.store.frozen();
    replica.fold.readFrom(this.#before);
    await install(ports.store);
    const restored = await restore(chain, schema, self.actor, config.pool, ports);
    const { fold, pool } = restored;
    for (const pending of bare) {
      if (fold.reducer.isFree(pending.entry.event)) pool.restore(pending);
    }
    const ops = await settleInstalled(restored, self, ports.store, replica.hasForgotten);
    if (ops.length > 0) await ports.store.write(ops, { sync: true });
    return restored;
  }
}
