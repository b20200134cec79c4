import { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import type { Id, StoreOp } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';
import { concernsAccess } from '#node/posture/access.ts';
import { silentLog } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import { TraitorDriver } from '#test/sim/byzantine/driver.ts';
import { slowed } from './keys.ts';
import { admitting } from '#test/sim/lives/access.ts';
import { NodeClock } from './node-clock.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { Traitor } from './scenario.ts';
import { SimStore } from './store.ts';
import type { DiskState } from './store.ts';
import type { World } from './world.ts';

type Rows = Iterable<readonly [string, Uint8Array]>;

/** Which write ends a life, and how. */
export interface Snare {
  /** Whether it is on the disk or just not; else every other one is. */
  readonly keeps?: boolean;
  /** Writes that count; all when it is not given. */
  readonly isMeant?: (ops: readonly StoreOp[], store: SimStore | undefined) => boolean;
  /** Called when the power is gone. */
  readonly cut?: (() => void) | undefined;
}

interface Trap extends Required<Snare> {
  writes: number;
}

/**
 * One machine of the simulated network with its disk and its clock. A restart gives it a new core
 * on what the disk holds. A traitor's core only follows; its driver seals.
 */
export class SimNode {
  readonly #world: World;
  readonly index: number;
  readonly name: string;
  readonly who: TestActor;
  readonly driver: TraitorDriver | undefined;
  readonly disk: DiskState;
  readonly #random: Random;
  /** Changes with every start and every end. */
  incarnation = 0;
  isUp = false;
  /** A fault keeps it from its first start. */
  isHeldBack = false;
  /** How often its disk was set back. */
  setBacks = 0;
  offset_ms: number;
  /** The projections of its software. */
  schema: Schema;
  core: Core | undefined;
  store: SimStore | undefined;
  network: FakeNetwork | undefined;
  #clock: NodeClock | undefined;
  #rows: Rows = [];
  #copy: Rows | undefined;
  #trap: Trap | undefined;
  /** Blocks sealed by earlier cores. */
  #sealedBefore = 0;

  /** Whether its key is on two machines. */
  readonly isCloned: boolean;

  constructor(world: World, index: number, who: TestActor, traitor: Traitor | undefined) {
    this.#world = world;
    this.schema = world.schema;
    this.index = index;
    this.name = world.nameOf(index);
    this.who = who;
    const { committee } = world.chain;
    this.isCloned = world.scenario.clones.includes(committee.indexOf(who.actor) ?? -1);
    this.disk = { ...world.scenario.disk, isFull: false, failsSync: false };
    this.offset_ms = world.scenario.skew_ms[index] ?? 0;
    this.#random = randomOf(world.scenario.seed, this.name);
    this.driver = traitor && new TraitorDriver(world, this, traitor);
  }

  /** Its disk was once set back. */
  get isAmnesiac(): boolean {
    return this.setBacks > 0;
  }

  /** Whether the protocol is kept here, so that all promises hold. */
  get isHonest(): boolean {
    const isSound = this.index !== this.#world.scenario.defect?.node;
    return this.driver === undefined && isSound && !this.isAmnesiac && !this.isCloned;
  }

  get sealed(): number {
    return this.#sealedBefore + (this.core?.replica.counters.blocksSealed ?? 0);
  }

  async start(): Promise<void> {
    if (this.isUp) return;
    this.isUp = true;
    this.isHeldBack = false;
    const life = ++this.incarnation;
    try {
      await this.#open(life);
    } catch (error) {
      if (life !== this.incarnation) return;
      if (codeOf(error) !== 'store_failed') {
        this.#world.report('start', `${this.name}: ${String(error)}`);
      }
      this.crash('kill');
    }
  }

  async #open(life: number): Promise<void> {
    const world = this.#world;
    const clock = new NodeClock(world.clock, this.offset_ms);
    const store = new SimStore(clock, this.disk, this.#rows, (...write) => this.#wrote(...write));
    const network = world.hub.join(this.name, this.who.actor);
    Object.assign(this, { store, network });
    this.#clock = clock;
    const random = randomOf(world.scenario.seed, `${this.name} life ${life}`);
    const entropy = {
      bytes: (count: number) => Uint8Array.from({ length: count }, () => random.below(256)),
    };
    const port = this.driver?.wrap(network) ?? network;
    const verifier = slowed(world.verifier, clock, world.scenario.verify_ms);
    const ports = { network: port, store, clock, verifier, entropy, log: silentLog };
    // the key of a traitor is its driver's: its core has another one, and so no seat
    const otherKey = (id: Id) => world.keys.get(id);
    const self = this.driver ? world.shadow(this.name) : { ...this.who, otherKey };
    const { config: common, configs } = world.scenario;
    const config = { ...DEFAULT_CONFIG, ...common, ...configs?.[this.index] };
    const { people } = world;
    const schema = people ? world.freshSchema() : this.schema;
    const core = await Core.open(world.chain, schema, self, config, ports);
    if (life !== this.incarnation) return;
    if (people) {
      network.admits = admitting(core, clock, (peer) => people.isComer(world.indexOf(peer)));
      core.onEpoch(() => network.review());
      core.onFinal((events) => events.some(concernsAccess) && network.review());
    }
    world.opened(this);
    core.onFinal((events) => life === this.incarnation && world.finals(this, events));
    core.onFailure((error) => life === this.incarnation && this.#failed(error));
    core.attach();
    await network.start();
    if (life !== this.incarnation) return;
    core.start();
    this.core = core;
    this.driver?.start(core, network, clock);
  }

  #failed(error: unknown): void {
    const { isFull, failsSync } = this.disk;
    const isExpected = codeOf(error) === 'store_failed' && (isFull || failsSync);
    if (!isExpected) this.#world.report('failure', `${this.name}: ${String(error)}`);
    this.crash('kill');
  }

  #wrote(
    ops: readonly StoreOp[],
    sync: boolean,
    underWay: number,
  ): (() => void) | undefined {
    if (underWay > 0) this.#world.report('turns', `${this.name}: two turns write at once`);
    this.#world.wrote(this, ops, sync);
    if (!this.#trap?.isMeant(ops, this.store) || --this.#trap.writes > 0) return undefined;
    const { keeps, cut } = this.#trap;
    this.#trap = undefined;
    const end = (): void => {
      this.crash('power');
      cut?.();
    };
    if (keeps) return end;
    end();
    return undefined;
  }

  /** Ends at once; returns false when it is not running. */
  crash(how: 'kill' | 'power'): boolean {
    if (!this.isUp) return false;
    this.isUp = false;
    this.incarnation += 1;
    this.#world.snapshots.ended(this);
    this.driver?.stop();
    this.#clock?.off();
    this.#rows = this.store?.[how === 'kill' ? 'kill' : 'cutPower'](this.#random) ?? this.#rows;
    this.#sealedBefore = this.sealed;
    this.#world.hub.resume(this.name);
    void this.network?.stop();
    void this.core?.stop();
    this.core = undefined;
    return true;
  }

  /** The `writes`-th write from now, of those that are meant, is the last of this life. */
  trap(writes: number, { keeps = writes % 2 === 0, isMeant = () => true, cut }: Snare = {}): void {
    this.#trap = { writes, keeps, isMeant, cut };
  }

  untrap(): void {
    this.#trap = undefined;
  }

  stall(isStalled: boolean): void {
    if (!this.isUp) return;
    if (isStalled) this.#clock?.stall();
    else this.#clock?.resume();
  }

  stepClock(by_ms: number): void {
    this.offset_ms += by_ms;
    if (this.#clock) this.#clock.offset_ms = this.offset_ms;
  }

  /** Ends, and starts again with what becomes of its disk; resolves when it begins to start. */
  async alter(change: (rows: Rows) => Promise<Rows> | Rows): Promise<void> {
    this.crash('kill');
    this.#rows = await change(this.#rows);
    void this.start();
  }

  copyDisk(): void {
    this.#copy = this.store?.copy() ?? [];
  }

  /** Ends and starts again with the disk of `copyDisk`. */
  async setBack(): Promise<void> {
    this.crash('kill');
    this.setBacks += 1;
    this.#rows = this.#copy ?? [];
    await this.start();
  }
}
