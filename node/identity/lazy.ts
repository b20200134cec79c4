import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import { systemClock, systemEntropy } from '#node/system.ts';
import type { FetchStatus } from './federation-parts.ts';
import { FederationService } from './federation.ts';
import type { IdentityOptions } from './open.ts';
import type { OwnIdentity } from './own-svid.ts';
import type { IdentityService, IdentityStatus } from './service.ts';
import { locateEndpoint } from './workload-endpoint.ts';

/**
 * SPIFFE of a node, loaded when it is needed: gRPC and the readers of certificates take most of a
 * second, which a node without them does not spend.
 */
export class LazyIdentity {
  readonly #options: IdentityOptions;
  #opening: Promise<IdentityService> | undefined;
  #service: IdentityService | undefined;
  readonly #federation: FederationService;

  constructor(options: IdentityOptions) {
    this.#options = options;
    const { actor: self } = options;
    const ports = { clock: systemClock, entropy: systemEntropy };
    this.#federation = new FederationService({ ...options, ...ports, self });
  }

  /** Opens what the configuration or the environment names. Fails as `IdentityService.open`. */
  async start(): Promise<void> {
    const { config, environment } = this.#options;
    this.#federation.start();
    const isWanted =
      config.isServed === true ||
      config.endpoint !== undefined ||
      config.socket !== '' ||
      locateEndpoint(config.agent, environment) !== '';
    if (isWanted) await this.#open();
  }

  /** `undefined` while nothing of it was needed. */
  get status(): IdentityStatus | undefined {
    return this.#service?.status;
  }

  /** What does not run and why, in sentences. */
  get limitations(): readonly string[] {
    return this.#service?.limitations ?? [];
  }

  /** The bundle of the own trust domain; `undefined` in a network without identities. */
  async bundle(): Promise<string | undefined> {
    return (await this.#open()).bundleDocument;
  }

  /** How this node fares with the endpoints of foreign bundles. */
  get fetches(): readonly FetchStatus[] {
    return this.#federation.status;
  }

  /** Whose SVIDs this node believes; `undefined` where it knows of no trust domain. */
  async trust(): Promise<SpiffeTrust | undefined> {
    return (await this.#open()).trust;
  }

  /** The node's own SVID, where `config.isServed` asked for it. */
  get own(): OwnIdentity | undefined {
    return this.#service?.own;
  }

  async close(): Promise<void> {
    this.#federation.close();
    await (await this.#opening)?.close();
  }

  #open(): Promise<IdentityService> {
    this.#opening ??= this.#load();
    return this.#opening;
  }

  async #load(): Promise<IdentityService> {
    const { openIdentity } = await import('./open.ts');
    this.#service = await openIdentity(this.#options);
    return this.#service;
  }
}
