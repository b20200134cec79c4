import { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { StoreOp } from '#ledger/ports.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';
import { silentLog } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import { TraitorDriver } from '#test/sim/byzantine/driver.ts';
import { slowed } from './keys.ts';
import { NodeClock } from './node-clock.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { Traitor } from './scenario.ts';
import { SimStore } from './store.ts';
import type { DiskState } from './store.ts';
import type { World } from './world.ts';

type Rows = Iterable<readonly [string, Uint8Array]>;

/** Writes that a trap counts: those of fetching a snapshot, or of putting it in place. */
export type TrapPart = 'fetch' | 'install';

interface Trap {
  writes: number;
  readonly keeps: boolean;
  readonly part: TrapPart | undefined;
  readonly cut: (() => void) | undefined;
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
  /** Its disk was once set back. */
  isAmnesiac = false;
  offset_ms: number;
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
    this.index = index;
    this.name = `peer-${index}`;
    this.who = who;
    const { committee } = world.chain;
    this.isCloned = world.scenario.clones.includes(committee.indexOf(who.actor) ?? -1);
    this.disk = { ...world.scenario.disk, isFull: false, failsSync: false };
    this.offset_ms = world.scenario.skew_ms[index] ?? 0;
    this.#random = randomOf(world.scenario.seed, this.name);
    this.driver = traitor && new TraitorDriver(world, this, traitor);
  }

  /** Whether the protocol is kept here, so that all promises hold. */
  get isHonest(): boolean {
    return this.driver === undefined && !this.isAmnesiac && !this.isCloned;
  }

  get sealed(): number {
    return this.#sealedBefore + (this.core?.replica.counters.blocksSealed ?? 0);
  }

  /** Its index in the committee. */
  get author(): number | undefined {
    return this.#world.chain.committee.indexOf(this.who.actor);
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
    const self = { ...this.who, author: this.driver ? undefined : this.author };
    const { config: common, configs } = world.scenario;
    const config = { ...DEFAULT_CONFIG, ...common, ...configs?.[this.index] };
    const core = await Core.open(world.chain, world.schema, self, config, ports);
    if (life !== this.incarnation) return;
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
    if (!this.#trap || !this.#isOf(ops, this.#trap.part)) return undefined;
    if (--this.#trap.writes > 0) return undefined;
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

  /**
   * The `writes`-th write from now, of this part if one is given, is the last of this life: on
   * the disk, or just not; `cut` is called then.
   */
  trap(writes: number, part?: TrapPart, cut?: () => void): void {
    this.#trap = { writes, keeps: writes % 2 === 0, part, cut };
  }

  #isOf(ops: readonly StoreOp[], part: TrapPart | undefined): boolean {
    if (part === undefined) return true;
    if (part === 'fetch') return ops.some(({ key }) => key.startsWith('i/'));
    const mark = storeKeys.installing;
    return this.store?.get(mark) !== undefined || ops.some(({ key }) => key === mark);
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

  copyDisk(): void {
    this.#copy = this.store?.copy() ?? [];
  }

  /** Ends and starts again with the disk of `copyDisk`. */
  async setBack(): Promise<void> {
    this.crash('kill');
    this.isAmnesiac = true;
    this.#rows = this.#copy ?? [];
    await this.start();
  }
}
