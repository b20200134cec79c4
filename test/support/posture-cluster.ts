import { Registry } from 'prom-client';
import type { Id } from '#ledger/ports.ts';
import { isolationAccess } from '#node/posture/access.ts';
import { PostureService } from '#node/posture/service.ts';
import type { NetworkStatus } from '#p2p/index.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { silentLog } from './cluster.ts';
import { SimCluster } from './sim-cluster.ts';
import type { SimNode } from './sim-cluster.ts';

/** A simulated cluster whose nodes keep posture; a review cuts and heals the fake links. */
export class PostureCluster {
  readonly sim: SimCluster;
  readonly services: readonly PostureService[];
  /** Who has cut whom, as `a b`. */
  readonly cuts = new Set<string>();

  private constructor(sim: SimCluster) {
    this.sim = sim;
    this.services = sim.nodes.map((node) => this.#serve(node));
    for (const service of this.services) service.start();
  }

  /** Of `validators`, but those in `absent` are played by hand. */
  static async start(validators: number, absent: readonly number[] = []): Promise<PostureCluster> {
    const active = newGenesisSchema();
    return new PostureCluster(await SimCluster.start({ validators, active }, absent));
  }

  #serve(node: SimNode): PostureService {
    const { core, network, who } = node;
    let hear: ((actor: Id, code: string) => void) | undefined;
    const penalise = network.penalise.bind(network);
    network.penalise = (peer, code) => {
      const linked = network.peers().find((one) => one.peer === peer);
      if (linked) hear?.(linked.actor, code);
      penalise(peer, code);
    };
    return new PostureService({
      core,
      network: {
        review: () => this.#review(node),
        onPenalty: (listener) => (hear = listener),
        status: () => ({ missing: [] }) as unknown as NetworkStatus,
      },
      self: who.actor,
      clock: this.sim.clockOf(who),
      log: silentLog,
      registry: new Registry(),
      fallback_ms: 1500,
    });
  }

  #review({ core, name, who }: SimNode): void {
    for (const other of this.sim.nodes) {
      if (other.name === name) continue;
      const access = isolationAccess(core, other.who.actor, this.sim.clockOf(who));
      const wasCut = this.#isCut(name, other.name);
      if (access.isAdmitted) this.cuts.delete(`${name} ${other.name}`);
      else this.cuts.add(`${name} ${other.name}`);
      const isCut = this.#isCut(name, other.name);
      if (isCut && !wasCut) this.sim.hub.cut(name, other.name);
      if (!isCut && wasCut) this.sim.hub.heal(name, other.name);
    }
  }

  #isCut(a: string, b: string): boolean {
    return this.cuts.has(`${a} ${b}`) || this.cuts.has(`${b} ${a}`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.services.map((service) => service.close()));
    await this.sim.stop();
  }
}
