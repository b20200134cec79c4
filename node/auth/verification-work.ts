import { fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import { Shares } from '#ledger/shares.ts';
import { TokenBuckets } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';

/** Verifications under way at once: some 5 ms of one core. */
const UNDER_WAY_MAX = 64;
/** Callers that have proved themselves lately; the oldest is forgotten. */
const PROVED_MAX = 4096;

/**
 * What looking at proofs may cost: a share of the places for each party, and for each address a
 * rate of proofs that do not hold. A party is an address; who has proved itself from there before
 * is one of its own, which the failures of others there do not touch. What fails is the address's,
 * whoever it says that it is: the name is only known where the proof holds.
 */
export class VerificationWork {
  readonly #shares: Shares;
  readonly #failures: TokenBuckets;
  readonly #proved = new Set<string>();

  constructor(failures: Rate, clock: Pick<Clock, 'monotonic_ms'>, max = UNDER_WAY_MAX) {
    this.#shares = new Shares(max);
    this.#failures = new TokenBuckets(failures, clock);
  }

  /**
   * What `verify` gives. `claimed`: who the caller says that it is. Throws `overloaded`,
   * `rate_limited`, or as `verify`.
   */
  async run<T>(address: string, claimed: string, verify: () => Promise<T>): Promise<T> {
    const own = `${address} ${claimed}`;
    const isKnown = this.#proved.has(own);
    const party = isKnown ? own : address;
    if (!isKnown && !this.#failures.has(address)) {
      const retryAfter_s = this.#failures.wait_s(address);
      const message = 'Too many proofs from there did not hold: wait, then send one that does.';
      fail('rate_limited', message, { retryAfter_s });
    }
    if (!this.#shares.take(party)) {
      fail('overloaded', 'The node is busy with checking who calls: try again.');
    }
    try {
      const found = await verify();
      this.#note(own);
      return found;
    } catch (error) {
      this.#failures.take(address);
      throw error;
    } finally {
      this.#shares.give(party);
    }
  }

  #note(own: string): void {
    this.#proved.delete(own);
    this.#proved.add(own);
    if (this.#proved.size <= PROVED_MAX) return;
    const [oldest] = this.#proved;
    if (oldest !== undefined) this.#proved.delete(oldest);
  }
}
