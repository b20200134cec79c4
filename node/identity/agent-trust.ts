import type { Bundle } from './bundle.ts';
import type { Certificate } from './certificate.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import { TRUST_DOMAINS_MAX } from './limits.ts';
import type { WorkloadClient } from './workload-client.ts';

/** Trust domains that an agent may name in the life of a process; beyond, it alone is believed. */
const NAMES_MAX = 4 * TRUST_DOMAINS_MAX;

type Agent = Pick<
  WorkloadClient,
  'current' | 'subscribe' | 'x509AuthoritiesOf' | 'jwtAuthoritiesOf'
>;

/**
 * Whose SVIDs a node with an agent believes. What the agent has named once, in whichever message,
 * is its own for good: where it says nothing of it any more, nothing of it is believed. Of other
 * trust domains the ledger's bundle counts, as long as what the agent said last of that type of
 * SVID stands: not before its first message, and not after it has denied.
 */
export class AgentTrust {
  readonly #agent: Agent;
  readonly #onLedger: (trustDomain: string) => Bundle | undefined;
  readonly #named = new Set<string>();
  readonly close: () => void;

  constructor(agent: Agent, onLedger: (trustDomain: string) => Bundle | undefined) {
    this.#agent = agent;
    this.#onLedger = onLedger;
    this.#learn();
    this.close = agent.subscribe(() => this.#learn());
  }

  x509AuthoritiesOf(trustDomain: string): readonly Certificate[] | undefined {
    const isAnswered = this.#agent.current.status === 'ready';
    return (
      this.#agent.x509AuthoritiesOf(trustDomain) ?? this.#other(trustDomain, isAnswered)?.x509
    );
  }

  jwtAuthoritiesOf(trustDomain: string): readonly JwtAuthority[] | undefined {
    // a message without a bundle is none
    const { status, jwtBundles } = this.#agent.current;
    const isAnswered = status === 'ready' && jwtBundles.size > 0;
    return this.#agent.jwtAuthoritiesOf(trustDomain) ?? this.#other(trustDomain, isAnswered)?.jwt;
  }

  /** What the agent itself says of a trust domain now. */
  saidOf(trustDomain: string): readonly (Certificate | JwtAuthority)[] {
    return [
      ...(this.#agent.x509AuthoritiesOf(trustDomain) ?? []),
      ...(this.#agent.jwtAuthoritiesOf(trustDomain) ?? []),
    ];
  }

  #other(trustDomain: string, isAnswered: boolean): Bundle | undefined {
    const isOpen = isAnswered && this.#named.size < NAMES_MAX && !this.#named.has(trustDomain);
    return isOpen ? this.#onLedger(trustDomain) : undefined;
  }

  #learn(): void {
    const { x509Bundles, jwtBundles } = this.#agent.current;
    for (const name of [...x509Bundles.keys(), ...jwtBundles.keys()]) {
      if (this.#named.size < NAMES_MAX) this.#named.add(name);
    }
  }
}
