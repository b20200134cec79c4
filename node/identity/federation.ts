import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Core } from '#ledger/core.ts';
import type { Clock, Entropy, Id, Log } from '#ledger/ports.ts';
import { bundleOf, federationsIn } from '#projections/identity-federation.ts';
import type { EndpointParameters, Federation } from '#projections/identity-federation.ts';
import { identity } from '#projections/identity.ts';
import type * as Refresh from './bundle-refresh.ts';
import { FederationKeeper } from './federation-keeper.ts';
import type { FetchStatus, Refetched } from './federation-parts.ts';
import { hasIdentities, identityLedger } from './identity-ledger.ts';
import { isOfIdentity } from './may-issue.ts';

/** Names of the metrics of federation. */
export const FEDERATION_METRICS = {
  fetches: 'x0t_federation_fetches_total',
  failures: 'x0t_federation_failures_total',
  authored: 'x0t_federation_authored_total',
} as const;

export interface FederationOptions {
  readonly core: Core;
  readonly self: Id;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly registry: Registry;
  readonly fallback_ms: number;
}

/**
 * Federation of a running node: foreign bundles whose endpoints are on the ledger are fetched again
 * and again, while this node has a seat. What reads certificates is loaded with the first fetch.
 */
export class FederationService {
  readonly #options: FederationOptions;
  readonly #keeper: FederationKeeper | undefined;
  #loading: Promise<typeof Refresh> | undefined;
  readonly #stops: (() => void)[] = [];

  constructor(options: FederationOptions) {
    this.#options = options;
    const { core, self, clock, entropy, log, registry, fallback_ms } = options;
    if (!hasIdentities(core)) return;
    const counted = (name: string, help: string, labelNames: string[]): Counter =>
      new Counter({ name, help, labelNames, registers: [registry] });
    const fetches = counted(FEDERATION_METRICS.fetches, 'Foreign bundles fetched', ['result']);
    const failures = counted(FEDERATION_METRICS.failures, 'Those that failed, by code', ['code']);
    const authored = counted(FEDERATION_METRICS.authored, 'Refreshes that were authored', []);
    const keeper = new FederationKeeper({
      self,
      clock,
      entropy,
      log,
      list: () => federationsIn(this.#rows),
      seats: () => core.replica.fold.seats,
      refetch: (federation) => this.#refetch(federation),
      author: async (kind, body) => {
        const entry = await core.author(kind, body, true);
        return () => core.replica.fold.isFinalEntry(entry);
      },
      fallback_ms,
      fetched: (result, code) => {
        fetches.inc({ result });
        if (code !== undefined) failures.inc({ code });
      },
      authored: () => authored.inc(),
    });
    this.#keeper = keeper;
    this.#stops.push(
      core.onFinal((events) => {
        const concerns = events.some(({ entry }) => isOfIdentity(entry.event.kind));
        if (events.length === 0 || concerns) keeper.look();
      }),
    );
  }

  start(): void {
    this.#keeper?.start();
  }

  /** How this node fares with the endpoints; nothing while it has no seat. */
  get status(): readonly FetchStatus[] {
    return this.#keeper?.status ?? [];
  }

  close(): void {
    this.#keeper?.stop();
    for (const stop of this.#stops) stop();
  }

  get #rows() {
    return this.#options.core.rows(identity.name, 'final');
  }

  async #refetch(federation: Federation): Promise<Refetched | undefined> {
    const { core, clock, log, self } = this.#options;
    const endpoint = federation.endpoint as EndpointParameters;
    this.#loading ??= import('./bundle-refresh.ts');
    const { refetch, heldAuthorities } = await this.#loading;
    const parts = { ledger: identityLedger(core, clock), clock, log, actor: self };
    const held = {
      document: bundleOf(this.#rows, federation.trustDomain),
      authorities: heldAuthorities(parts),
    };
    return refetch({ ...federation, endpoint }, held, clock.wall_ms());
  }
}
