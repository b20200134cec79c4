import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { COUNTERS } from '#p2p/index.ts';
import type { CounterName, ManagedNetwork } from '#p2p/index.ts';

/**
 * Names of the network's metrics: `x0t_p2p_` and the counter's own name, which ends in its unit.
 */
export const networkMetric = (name: CounterName): string => `x0t_p2p_${name}`;

/** Linked peers whose hello was accepted. */
export const PEERS_METRIC = 'x0t_p2p_peers';

/** Shows the network adapter's counters on `/metrics`; they are read when somebody asks. */
export function registerNetworkMetrics(
  registry: Registry,
  network: Pick<ManagedNetwork, 'status'>,
): void {
  for (const [name, help] of Object.entries(COUNTERS)) {
    const counter = new Counter({
      name: networkMetric(name as CounterName),
      help: `By ${help}`,
      labelNames: ['label'],
      registers: [],
      collect() {
        this.reset();
        const values = network.status().counters[name as CounterName];
        for (const [label, value] of Object.entries(values)) this.inc({ label }, value);
      },
    });
    registry.registerMetric(counter);
  }
  const peers = new Gauge({
    name: PEERS_METRIC,
    help: 'Linked peers whose hello was accepted',
    registers: [],
    collect() {
      this.set(network.status().peers.length);
    },
  });
  registry.registerMetric(peers);
}
