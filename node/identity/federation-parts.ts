import type { Body } from '#ledger/event.ts';
import type { Clock, Entropy, Id, Log } from '#ledger/ports.ts';
import type { Seats } from '#ledger/projection.ts';
import type { Federation } from '#projections/identity-federation.ts';

/** A bundle that differs from the held one and may take its place. */
export interface Refetched {
  /** As it would stand on the ledger, without its sequence. */
  readonly document: Uint8Array;
  readonly digest: Id;
  readonly sequence: bigint | undefined;
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

/** One relationship, as long as its operator leaves it as it is. Times are monotonic. */
export interface Case {
  readonly basis: Id;
  /** Of the bundle that is held. */
  digest: Id;
  window: number;
  poll_ms: number | undefined;
  paused_ms: number;
  quiet_ms: number;
  /** Fetches in this window that others' statements asked for. */
  doubts: number;
  failures: number;
  isFetching: boolean;
  fetched: Refetched | undefined;
  /** The windows of the last digest and of the last document that this node told. */
  saidIn: number;
  gaveIn: number;
  /** What was new last, here or on the ledger, when, and how many in a row. */
  seen: Id;
  seen_ms: number;
  changes: number;
  /** No fetch before, since what is fetched is never the same. */
  calm_ms: number;
  /** A statement on its way. */
  sent: { isFinal: () => boolean; readonly until_ms: number } | undefined;
  status: FetchStatus;
}
