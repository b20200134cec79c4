import { Registry } from 'prom-client';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { FEDERATION_METRICS, FederationService } from '#node/identity/federation.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { readIdentity } from '#projections/identity.ts';
import { silentLog } from './cluster.ts';
import type { TestActor } from './cluster.ts';
import { SimCluster } from './sim-cluster.ts';

/** A simulated cluster whose nodes keep foreign bundles current, from real endpoints. */
export class FederatedCluster {
  readonly sim: SimCluster;
  readonly services = new Map<number, FederationService>();
  readonly registries: readonly Registry[];
  #seq = 0;

  private constructor(sim: SimCluster, idle: readonly number[]) {
    this.sim = sim;
    this.registries = sim.nodes.map(() => new Registry());
    for (const index of sim.nodes.keys()) if (!idle.includes(index)) this.#serve(index);
  }

  #serve(index: number): void {
    const { core, who } = this.sim.at(index);
    const service = new FederationService({
      core,
      self: who.actor,
      clock: this.sim.clockOf(who),
      entropy: { bytes: (count) => new Uint8Array(count).fill(17 * (index + 1)) },
      log: silentLog,
      registry: this.registries[index] as Registry,
      fallback_ms: 1500,
    });
    service.start();
    this.services.set(index, service);
  }

  /** These begin anew, as after a restart of their nodes: what they fetched is gone. */
  restart(indexes: readonly number[]): void {
    for (const index of indexes) {
      this.services.get(index)?.close();
      this.registries[index]?.clear();
      this.#serve(index);
    }
  }

  /** Those in `idle` do nothing of this kind by themselves. */
  static async start(validators: number, idle: readonly number[] = []): Promise<FederatedCluster> {
    const active = newGenesisSchema();
    return new FederatedCluster(await SimCluster.start({ validators, active }), idle);
  }

  /** By the operator; resolves when it is final everywhere. */
  async federate(body: Body): Promise<void> {
    const { sim } = this;
    const [operator] = sim.net.operators as readonly [TestActor];
    const { actor, coseKey, signer } = operator;
    const { id: chain } = sim.net.chain;
    const kind = 'identity.federation/1';
    this.#seq += 1;
    const draft = { chain, actor, lane: 0, seq: this.#seq, kind, body, hlc: [0, 0] as const };
    const entry = await signEvent({ ...draft, hlc: [0, 0] }, signer);
    await sim.during(sim.at(0).core.submit(entry.bytes, coseKey));
    const isFinal = () => sim.nodes.every(({ finals }) => {
      return finals.some((one) => one.entry.id === entry.id);
    });
    await sim.until(isFinal, 10_000);
  }

  get trustDomain(): string {
    return readIdentity(this.sim.at(0).core.rows('identity', 'final'))?.trustDomain ?? '';
  }

  /** What each node holds of the first relationship. */
  held(index = 0) {
    const { core } = this.sim.at(index);
    return readIdentity(core.rows('identity', 'final'))?.federations[0];
  }

  /** Whether all nodes hold this sequence. */
  isAt(sequence: bigint): boolean {
    return this.sim.nodes.every((_, index) => this.held(index)?.sequence === sequence);
  }

  /** `actor's index verdict` of each refresh so far. */
  refreshes(): string[] {
    const actors = this.sim.nodes.map(({ who }) => who.actor);
    return this.sim.at(0).finals.flatMap(({ entry: { event }, verdict }) => {
      const { kind, actor } = event;
      return kind === 'identity.refresh/1'
        ? [`${actors.indexOf(actor)} ${verdictName(verdict)}`]
        : [];
    });
  }

  /** Refreshes so far that carried a document. */
  documents(): number {
    return this.sim.at(0).finals.filter(({ entry: { event } }) => {
      return event.kind === 'identity.refresh/1' && event.body['bundle'] !== undefined;
    }).length;
  }

  /** Codes of the failures that nodes have met and not got over. */
  failures(): (string | undefined)[] {
    return [...this.services.values()].map(({ status: [one] }) => one?.failure?.code);
  }

  /** A metric summed over nodes and labels. */
  async metric(name: keyof typeof FEDERATION_METRICS, label?: string): Promise<number> {
    let sum = 0;
    for (const registry of this.registries) {
      const found = await registry.getSingleMetric(FEDERATION_METRICS[name])?.get();
      for (const { labels, value } of found?.values ?? []) {
        if (label === undefined || Object.values(labels).includes(label)) sum += value;
      }
    }
    return sum;
  }

  async stop(): Promise<void> {
    for (const service of this.services.values()) service.close();
    await this.sim.stop();
  }
}
