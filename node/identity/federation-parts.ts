import type { Body } from '#ledger/event.ts';
import type { Clock, Entropy, Id, Log } from '#ledger/ports.ts';
import type { Seats } from '#ledger/projection.ts';
import type { Federation } from '#projections/identity-federation.ts';

/** A bundle that differs from the held one and may take its place. */
export interface Refetched {
  /** As it would stand on the ledger. */
  readonly document: Uint8Array;
  readonly digest: Id;
}

export interface FederationKeeperParts {
  readonly self: Id;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly list: () => readonly Federation[];
  readonly seats: () => Seats;
  /** `undefined`: nothing has changed. Rejects with what is wrong with endpoint or bundle. */
  readonly refetch: (federation: Federation) => Promise<Refetched | undefined>;
  /** Whether what others vouch for, by its digest, is what was fetched here. Never throws. */
  readonly isSame: (federation: Federation, fetched: Refetched, digest: Id) => boolean;
  /** Authors a signed event as this node; what it gives tells whether that is final by now. */
  readonly author: (kind: string, body: Body) => Promise<() => boolean>;
  /** What others are given before this node does what is theirs by rank. */
  readonly fallback_ms: number;
  readonly fetched: (result: 'changed' | 'same' | 'failed', code?: string) => void;
  readonly authored: () => void;
}

/** How this node fares with an endpoint; times are of its wall clock. */
export interface FetchStatus {
  readonly trustDomain: string;
  readonly interval_s: number;
  /** When the endpoint last gave a bundle that could be used. */
  readonly checked_ms?: number;
  /** The last failure; of `checked_ms` and this the later one holds. */
  readonly failure?: { readonly at_ms: number; readonly code: string };
}
