import { codeOf, fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { every } from '#ledger/every.ts';
import type { Clock, Entropy, Id, Log } from '#ledger/ports.ts';
import { peerKernel } from '#native/peer-process.ts';
import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import type { IdentityView } from '#projections/identity.ts';
import { AgentTrust } from './agent-trust.ts';
import { Attestor } from './attest.ts';
import { AuthorityKeeper } from './authority-keeper.ts';
import type { PublishedAuthority } from './authority.ts';
import { BundleEndpointServer } from './bundle-endpoint.ts';
import { serialiseBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { LedgerIdentity } from './ledger-identity.ts';
import { OwnIdentity, nodeId } from './own-svid.ts';
import { Provider } from './provider.ts';
import type { Proof } from './vouching.ts';
import { WorkloadClient } from './workload-client.ts';
import { parseEndpoint } from './workload-endpoint.ts';
import { WorkloadServer } from './workload-server.ts';

/** Where SPIFFE is on this host. Empty: not at all. */
export interface IdentityConfig {
  /** Path of the Unix socket on which this node serves the Workload API. */
  readonly socket: string;
  /** URI of the Workload API from which this node takes its own SVID, e.g. a SPIRE agent's. */
  readonly agent: string;
  /** Whether the node needs an SVID of its own. */
  readonly isServed?: boolean;
  /** Where foreign trust domains fetch the bundle of this one. */
  readonly endpoint?: { readonly host?: string; readonly port: number };
}

/** The ledger as far as identities need it. */
export interface IdentityLedger {
  /** `undefined` in a network without identities. */
  readonly view: () => IdentityView | undefined;
  /** Whether what an actor published counts now, by what is final. */
  readonly mayIssue: (actor: Id) => boolean;
  /** Events in the final log. */
  readonly finals: () => number;
  /**
   * Calls with true when events of `identity.` became final, or a snapshot took the place of the
   * log; with false when only others did that may change who may issue. The returned function ends
   * it.
   */
  readonly onChange: (listener: (isChanged: boolean) => void) => () => void;
  readonly author: (kind: string, body: Body) => Promise<unknown>;
}

export interface IdentityParts {
  readonly ledger: IdentityLedger;
  readonly actor: Id;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** Counts a refusal by its code. */
  readonly refused: (code: string) => void;
}

/** What runs, for the status. */
export interface IdentityStatus {
  readonly trustDomain?: string;
  readonly provider: 'off' | 'starting' | 'ready' | 'unavailable';
  readonly client: 'off' | 'waiting' | 'ready' | 'denied' | 'refused';
  /** The node's own SPIFFE ID, from the client. */
  readonly spiffeId?: string;
  readonly callers: number;
  /** Port of the bundle endpoint, while it runs. */
  readonly endpoint?: number;
}

/** Authorities are looked after, and what has ended leaves the bundle, this often. */
const LOOK_MS = 1_000;

/**
 * SPIFFE on this node: the provider for workloads of its host, fed by the final log, and the client
 * by which it takes its own identity from somebody else's provider. A part that cannot run is left
 * out and says why.
 */
export class IdentityService {
  readonly #parts: IdentityParts;
  readonly #closers: (() => Promise<void> | void)[] = [];
  #state: LedgerIdentity | undefined;
  #keeper: AuthorityKeeper | undefined;
  #server: WorkloadServer | undefined;
  /** The node's own identity, when there is an agent. */
  client: WorkloadClient | undefined;
  #agentTrust: AgentTrust | undefined;
  /** Where it runs. */
  endpoint: BundleEndpointServer | undefined;
  /** What this node shows who it is with, where it needs that. */
  own: OwnIdentity | undefined;
  /** What does not run and why, in sentences. */
  readonly limitations: string[] = [];
  #isUnavailable = false;
  /** Of the bundle that was asked for last. */
  #document: { readonly bundle: Bundle; readonly text: string } | undefined;

  private constructor(parts: IdentityParts) {
    this.#parts = parts;
  }

  /**
   * Fails with `workload_endpoint_invalid`: an address that is none is a mistake, no limitation.
   */
  static async open(config: IdentityConfig, parts: IdentityParts): Promise<IdentityService> {
    const service = new IdentityService(parts);
    if (config.agent !== '') service.#connect(config.agent);
    service.#follow();
    if (config.isServed === true || config.endpoint) service.#own();
    if (config.endpoint) await service.#publishBundle(config.endpoint);
    if (config.socket !== '') {
      try {
        await service.#serve(config.socket);
      } catch (error) {
        const code = codeOf(error);
        service.#isUnavailable = true;
        service.limitations.push(`Workloads of this host get no identities: ${code}.`);
        parts.log.error({ code }, 'the Workload API does not run');
      }
    }
    return service;
  }

  get status(): IdentityStatus {
    const trustDomain = this.#state?.current.trustDomain.trustDomain;
    const [given] = this.client?.current.svids ?? [];
    const own = given ?? this.own?.current;
    return {
      ...(trustDomain !== undefined && { trustDomain }),
      provider: this.#providerStatus(),
      client: this.client?.current.status ?? 'off',
      ...(own && { spiffeId: own.id.uri }),
      callers: this.#server?.connections ?? 0,
      ...(this.endpoint && { endpoint: this.endpoint.port }),
    };
  }

  /**
   * Whose SVIDs this node believes: without an agent those of the trust domains on the ledger, with
   * one what `AgentTrust` says. `undefined` where there are neither.
   */
  get trust(): SpiffeTrust | undefined {
    const { client } = this;
    const state = this.#state;
    if (!client && !state) return undefined;
    const ownIds = () => this.#ownIds();
    const agent = this.#agentTrust;
    return {
      x509AuthoritiesOf: (trustDomain) =>
        agent ? agent.x509AuthoritiesOf(trustDomain) : this.#onLedger(trustDomain)?.x509,
      jwtAuthoritiesOf: (trustDomain) =>
        agent ? agent.jwtAuthoritiesOf(trustDomain) : this.#onLedger(trustDomain)?.jwt,
      assertVouched: (proof) => this.#assertVouched(proof),
      get ownIds() {
        return ownIds();
      },
      subscribe: (listener) => {
        const ends = [client?.subscribe(listener), state?.subscribe(listener)];
        return () => {
          for (const end of ends) end?.();
        };
      },
    };
  }

  /**
   * An agent that issues for a trust domain by the ledger's name, and has nothing of the ledger's
   * authorities, is another issuer than its nodes: who gets which ID is said there.
   */
  #assertVouched(proof: Proof): void {
    if (!this.#state) return;
    const { vouching } = this.#state.current;
    const said = this.#agentTrust?.saidOf(proof.id.trustDomain) ?? [];
    if (said.length > 0 && !said.some((one) => vouching.knows(one))) return;
    vouching.assert(proof, this.#parts.clock.wall_ms());
  }

  #onLedger(trustDomain: string): Bundle | undefined {
    if (!this.#state) return undefined;
    const { bundle, federated } = this.#state.current;
    return [bundle, ...federated].find((one) => one.trustDomain === trustDomain);
  }

  #ownIds(): readonly string[] {
    const given = this.client?.current.svids.map(({ id }) => id.uri) ?? [];
    const state = this.#state;
    const own = state && nodeId(state.current.trustDomain.trustDomain, this.#parts.actor).uri;
    return own === undefined ? given : [...given, own];
  }

  /**
   * The bundle endpoint's document, made once for each change; `undefined` in a network without
   * identities.
   */
  get bundleDocument(): string | undefined {
    const bundle = this.#state?.current.bundle;
    if (!bundle) return undefined;
    if (this.#document?.bundle !== bundle) {
      this.#document = { bundle, text: serialiseBundle(bundle) };
    }
    return this.#document.text;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }

  #providerStatus(): IdentityStatus['provider'] {
    if (this.#isUnavailable) return 'unavailable';
    if (!this.#server) return 'off';
    return this.#keeper?.active ? 'ready' : 'starting';
  }

  #connect(agent: string): void {
    const { clock, entropy, log } = this.#parts;
    const client = new WorkloadClient({ endpoint: parseEndpoint(agent), clock, entropy, log });
    const trust = new AgentTrust(client, (trustDomain) => this.#onLedger(trustDomain));
    this.client = client;
    this.#agentTrust = trust;
    this.#closers.push(() => client.close(), trust.close);
  }

  #follow(): void {
    const { ledger, clock, log, actor } = this.#parts;
    const first = ledger.view();
    if (!first) return;
    const view = (): IdentityView => ledger.view() ?? first;
    const { mayIssue, finals } = ledger;
    const state = new LedgerIdentity({ view, mayIssue, finals, clock, log, actor });
    this.#state = state;
    this.#closers.push(ledger.onChange((isChanged) => state.refresh(isChanged)));
    this.#repeat(() => state.refresh(false));
  }

  /** Keeps authorities of this node in the bundle; once. */
  #issue(state: LedgerIdentity): AuthorityKeeper {
    if (this.#keeper) return this.#keeper;
    const { clock, entropy, log } = this.#parts;
    const publish = (authority: PublishedAuthority): Promise<void> => this.#publish(authority);
    const keeper = new AuthorityKeeper({ state, clock, entropy, log, publish });
    this.#keeper = keeper;
    this.#closers.push(state.subscribe(() => void this.#look(keeper)));
    this.#repeat(() => void this.#look(keeper));
    return keeper;
  }

  /** Keeps an SVID for this node itself. */
  #own(): void {
    const { actor, clock, log } = this.#parts;
    const { client } = this;
    const state = this.#state;
    if (!client && !state) {
      this.limitations.push('This node has no SVID: its network has no identities on its ledger.');
      return;
    }
    const keeper = client || !state ? undefined : this.#issue(state);
    const own = new OwnIdentity({ actor, clock, log, client, authority: () => keeper?.active });
    this.own = own;
    if (client) this.#closers.push(client.subscribe(() => void own.look()));
    this.#repeat(() => void own.look());
  }

  async #publishBundle({ host = '::', port }: Required<IdentityConfig>['endpoint']): Promise<void> {
    const { own } = this;
    const state = this.#state;
    if (!own || !state) {
      this.limitations.push('The bundle endpoint does not run: there are no identities.');
      return;
    }
    const document = (): string | undefined => this.bundleDocument;
    const { log } = this.#parts;
    this.endpoint = await BundleEndpointServer.open({ host, port }, { own, document, log });
    this.#closers.push(() => this.endpoint?.close());
  }

  async #look(keeper: AuthorityKeeper): Promise<void> {
    await keeper.look();
    await this.#server?.look();
    await this.own?.look();
  }

  #repeat(look: () => void): void {
    look();
    this.#closers.push(every(this.#parts.clock, LOOK_MS, look));
  }

  async #serve(socket: string): Promise<void> {
    const state = this.#state;
    const { clock, log, refused } = this.#parts;
    if (!state) fail('identity_inactive', 'this network has no identities on its ledger');
    const kernel = peerKernel();
    const keeper = this.#issue(state);
    const attestor = new Attestor(clock);
    const provider = new Provider({ state, authority: () => keeper.active, attestor, clock });
    const server = new WorkloadServer({ provider, kernel, clock, log, refused });
    await server.listen(socket);
    this.#server = server;
    this.#closers.push(() => server.close());
    log.info({ socket, trustDomain: state.current.trustDomain.uri }, 'the Workload API runs');
    const { sticky } = server;
    if (sticky === undefined) return;
    const text = "others may make the folder of the Workload API's socket once it is gone";
    const reason = `anybody may write to ${sticky}; choose one such as /run/x0t`;
    this.limitations.push(`When the node is down, ${text}: ${reason}.`);
    log.warn({ socket, folder: sticky }, text);
  }

  async #publish({ x509, jwt }: PublishedAuthority): Promise<void> {
    const { ledger, actor } = this.#parts;
    if (ledger.view()?.issuers.includes(actor) !== true || !ledger.mayIssue(actor)) {
      fail('issuer_not_allowed', 'this node is no issuer of the trust domain');
    }
    const { x = '', y = '' } = jwt.jwk;
    await ledger.author('identity.authority/1', {
      x509: x509.der,
      jwt: {
        kid: jwt.kid,
        x: Uint8Array.from(Buffer.from(x, 'base64url')),
        y: Uint8Array.from(Buffer.from(y, 'base64url')),
      },
      notAfter_ms: x509.notAfter_ms,
    });
  }
}
