import { Core } from '#ledger/core.ts';
import type { CoreConfig } from '#ledger/core.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import { summaryHash } from '#ledger/fold.ts';
import { hash } from 'node:crypto';
import type { HeldKey } from '#ledger/held-keys.ts';
import type { Clock, Entropy, Id, SignatureJob, Verifier } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';
import { schemaFor } from '#node/schema.ts';
import { CREATED_MS, selfOf, silentLog } from './cluster.ts';
import type { TestActor, TestNet } from './cluster.ts';
import { DurableStore } from './durable-store.ts';
import { seeded } from './fake-link.ts';
import type { LinkShape } from './fake-link.ts';
import { FakeHub } from './fake-network.ts';
import type { FakeNetwork } from './fake-network.ts';
import { seededNet } from './seeded-actor.ts';
import type { ActiveSchema } from './seeded-actor.ts';
import { VirtualClock } from './virtual-clock.ts';

export type Rows = Iterable<readonly [string, Uint8Array]>;

/** A node of the simulated cluster; a restart gives it a new core on a copy of its rows. */
export interface SimNode {
  readonly name: string;
  readonly who: TestActor;
  /** What it chooses apart from the others. */
  readonly config: Partial<CoreConfig>;
  store: DurableStore;
  network: FakeNetwork;
  core: Core;
  /** Every final event that the present core told of, in order. */
  finals: FinalEvent[];
  failures: unknown[];
}

export interface SimOptions {
  readonly validators: number;
  readonly operators?: number;
  /** What the genesis lists; by default a network without policies on its ledger. */
  readonly active?: ActiveSchema;
  readonly seed?: number;
  readonly link?: Partial<LinkShape>;
  readonly config?: Partial<CoreConfig>;
  /** Instead of what a chain remembers. */
  readonly remembered?: number;
  /** Milliseconds that a node's wall clock is ahead, by its index. */
  readonly skew_ms?: Readonly<Record<number, number>>;
  /** Further keys that nodes hold, by SHA-256 of their COSE_Keys. */
  readonly keys?: ReadonlyMap<Id, HeldKey>;
  /** How long a write to a store takes; default 0. */
  readonly write_ms?: number;
}

/** Cores on the fake network in virtual time: one seed gives one run. */
export class SimCluster {
  readonly net: TestNet;
  readonly clock = new VirtualClock(CREATED_MS + 60_000);
  readonly hub: FakeHub;
  readonly nodes: SimNode[] = [];
  readonly #options: SimOptions;
  readonly #verifier: Verifier;
  readonly #entropy: Entropy;

  private constructor(options: SimOptions, verifier: Verifier) {
    this.#options = options;
    this.#verifier = verifier;
    const { validators, operators = 1, active } = options;
    this.net = seededNet(validators, operators, 'test', active);
    const seed = options.seed ?? 1;
    this.hub = new FakeHub({ clock: this.clock, seed, link: options.link ?? {} });
    const random = seeded(seed + 1);
    this.#entropy = {
      bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
    };
  }

  /** All validators but those in `absent` are started and linked when it resolves. */
  static async start(options: SimOptions, absent: readonly number[] = []): Promise<SimCluster> {
    const cluster = new SimCluster(options, await rememberingVerifier());
    for (const [i, who] of cluster.net.validators.entries()) {
      if (!absent.includes(i)) await cluster.join(`peer-${i}`, who);
    }
    await cluster.run(20);
    return cluster;
  }

  /** Starts one more node; its core begins with these rows. */
  async join(
    name: string,
    who: TestActor,
    rows: Rows = [],
    config: Partial<CoreConfig> = {},
  ): Promise<SimNode> {
    const node = { name, who, config, finals: [], failures: [] } as unknown as SimNode;
    await this.#open(node, rows);
    this.nodes.push(node);
    return node;
  }

  async #open(node: SimNode, rows: Rows): Promise<void> {
    const store = new DurableStore(this.clock, this.#options.write_ms ?? 0, rows);
    node.store = store;
    node.network = this.hub.join(node.name, node.who.actor);
    const ports = {
      network: node.network,
      store,
      clock: this.clockOf(node.who),
      verifier: this.#verifier,
      entropy: this.#entropy,
      log: silentLog,
    };
    const config = { ...DEFAULT_CONFIG, ...this.#options.config, ...node.config };
    const { remembered } = this.#options;
    const schema = schemaFor(this.net.chain.genesis);
    const active = remembered === undefined ? schema : { ...schema, remembered };
    const otherKey = (id: Id) => this.#options.keys?.get(id);
    const self = { ...selfOf(this.net, node.who), otherKey };
    node.core = await this.during(Core.open(this.net.chain, active, self, config, ports));
    node.finals = [];
    node.core.onFinal((events) => {
      for (const event of events) node.finals.push(event);
    });
    node.core.onFailure((error) => node.failures.push(error));
    node.core.attach();
    await node.network.start();
    node.core.start();
  }

  /** The cluster's clock as this actor's machine shows it. */
  clockOf(who: TestActor): Clock {
    const skew_ms = this.#options.skew_ms?.[this.net.validators.indexOf(who)] ?? 0;
    return {
      wall_ms: () => this.clock.wall_ms() + skew_ms,
      monotonic_ms: () => this.clock.monotonic_ms(),
      after: (delay_ms, fire) => this.clock.after(delay_ms, fire),
    };
  }

  at(index: number): SimNode {
    const node = this.nodes[index];
    if (!node) throw new Error(`no node ${index}`);
    return node;
  }

  /** Cuts a node's power; returns the rows that survive. */
  async crash(index: number): Promise<Rows> {
    const node = this.at(index);
    const rows = node.store.cutPower();
    await node.network.stop();
    void node.core.stop();
    return rows;
  }

  async restart(index: number, rows: Rows): Promise<void> {
    await this.#open(this.at(index), rows);
  }

  run(duration_ms: number): Promise<boolean> {
    return this.clock.run(duration_ms);
  }

  until(isDone: () => boolean, limit_ms: number): Promise<boolean> {
    return this.clock.run(limit_ms, isDone);
  }

  /** Lets time pass until the step is done; for steps that wait for timers. */
  async during<T>(step: Promise<T>, limit_ms = 10_000): Promise<T> {
    let isDone = false;
    const watched = step.finally(() => {
      isDone = true;
    });
    watched.catch(() => undefined);
    await this.clock.run(limit_ms, () => isDone);
    if (!isDone) throw new Error(`not done after ${limit_ms} virtual ms`);
    return watched;
  }

  /** Authors a `kv.put/1` at a node; resolves when it is accepted. */
  async put(index: number, key: string, value = 'v', isSigned = true): Promise<string> {
    const body = { key, value: new TextEncoder().encode(value) };
    const entry = await this.during(this.at(index).core.author('kv.put/1', body, isSigned));
    return entry.id;
  }

  /** Whether every node in `indexes` has exactly `count` final events, and in its store. */
  haveFinal(count: number, indexes = this.nodes.map((_, i) => i)): boolean {
    return indexes.every((i) => {
      const { replica, log } = this.at(i).core;
      const isStored = count < log.from || log.at(count) !== undefined;
      return replica.fold.size === count && isStored;
    });
  }

  summaries(indexes = this.nodes.map((_, i) => i)): string[] {
    return indexes.map((i) => summaryHash(this.at(i).core.replica.fold.summary()));
  }

  /** Blocks sealed by all present cores. */
  sealed(): number {
    return this.nodes.reduce((sum, { core }) => sum + core.replica.counters.blocksSealed, 0);
  }

  /** Errors that a core should never meet in these runs, by node. */
  troubles(): string[] {
    return this.nodes.flatMap(({ name, core, failures, network }) => [
      ...failures.map((error) => `${name} failed: ${String(error)}`),
      ...[...core.intake.counters.rejected.keys()].map((code) => `${name} rejected: ${code}`),
      ...network.penalties.flatMap(({ peer, code }) =>
        CALM.has(code) ? [] : [`${name} penalised ${peer}: ${code}`],
      ),
    ]);
  }

  async stop(): Promise<void> {
    for (const { network } of this.nodes) await network.stop();
    await this.during(Promise.all(this.nodes.map(({ core }) => core.stop())));
  }
}

/** What cut links and stopped peers cause by themselves. */
const CALM = new Set(['peer_gone', 'request_timeout', 'stopping']);

/** Real checks; each distinct signature is checked once for all nodes of the process. */
export async function rememberingVerifier(): Promise<Verifier> {
  const engine = await loadEngine('liboqs');
  const known = new Map<string, boolean>();
  const verify = (job: SignatureJob): boolean => {
    const name = hash('sha256', Buffer.concat([job.publicKey, job.signature, job.message]));
    const result = known.get(name) ?? engine.verify(job);
    known.set(name, result);
    return result;
  };
  return {
    engine: engine.engine,
    verify: (jobs) => Promise.resolve(jobs.map(verify)),
    close: () => Promise.resolve(),
  };
}
