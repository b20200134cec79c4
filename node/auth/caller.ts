import type { IncomingMessage } from 'node:http';
import type { PolicyEntity } from '#ledger/ports.ts';

/** Who calls the API, and what shows it. */
export interface Caller {
  /** An entity of the types `Actor`, `Spiffe` or `Local`. */
  readonly principal: PolicyEntity;
  /** The value of `content-digest` that the body must have; of signed requests with a body. */
  readonly contentDigest?: string;
  /** Wall-clock time, ms, at which the proof ends; none where it holds until it is taken away. */
  readonly until_ms?: number;
  /**
   * Throws the coded error why the proof does not hold any more: for answers that go on after the
   * request, which is asked for by itself.
   */
  readonly assertHolds: () => void;
}

/** Finds out who calls, anew for every request. */
export interface Authenticator {
  /**
   * Throws `unauthenticated` where the request carries nothing, another coded error where it
   * carries more than one proof or one that does not hold, and `overloaded` or `rate_limited` where
   * there is no room to look.
   */
  authenticate(request: IncomingMessage): Promise<Caller>;
  /**
   * Calls when something that proofs rest on may have changed besides the final log; the returned
   * function ends it.
   */
  subscribe(listener: () => void): () => void;
}
