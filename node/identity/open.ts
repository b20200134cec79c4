import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Core } from '#ledger/core.ts';
import type { Id, Log } from '#ledger/ports.ts';
import { systemClock, systemEntropy } from '#node/system.ts';
import { identityLedger } from './identity-ledger.ts';
import { IdentityService } from './service.ts';
import type { IdentityConfig } from './service.ts';
import { locateEndpoint } from './workload-endpoint.ts';

/** Names of the metrics of identities. */
export const IDENTITY_METRICS = {
  refusals: 'x0t_identity_refusals_total',
  callers: 'x0t_identity_callers',
} as const;

export interface IdentityOptions {
  readonly config: IdentityConfig;
  /**
   * The process's environment: `SPIFFE_ENDPOINT_SOCKET` counts where the configuration is silent.
   */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly core: Core;
  readonly actor: Id;
  readonly log: Log;
  readonly registry: Registry;
  /** What other validators are given before this node does what is theirs by rank. */
  readonly fallback_ms: number;
}

/** SPIFFE of a running node: its final log, the machine's clock and entropy, its metrics. */
export async function openIdentity(options: IdentityOptions): Promise<IdentityService> {
  const { config, environment, core, actor, log, registry } = options;
  const refusals = new Counter({
    name: IDENTITY_METRICS.refusals,
    help: 'Callers and calls of the Workload API that were refused, by code',
    labelNames: ['code'],
    registers: [registry],
  });
  const service = await IdentityService.open(
    { ...config, agent: locateEndpoint(config.agent, environment) },
    {
      ledger: identityLedger(core, systemClock),
      actor,
      clock: systemClock,
      entropy: systemEntropy,
      log,
      refused: (code) => refusals.inc({ code }),
    },
  );
  const callers = new Gauge({
    name: IDENTITY_METRICS.callers,
    help: 'Connections to the Workload API',
    registers: [],
    collect() {
      this.set(service.status.callers);
    },
  });
  registry.registerMetric(callers);
  return service;
}
