import { hash } from 'node:crypto';
import { fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import { Shares } from '#ledger/shares.ts';
import { TokenBuckets } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';

/** Verifications under way at once: some 5 ms of one core. */
const UNDER_WAY_MAX = 64;
/** Callers that have proved themselves lately; the oldest is forgotten. */
const PROVED_MAX = 4096;
/** Of these, first proofs from where too many did not hold. */
const FIRST_UNDER_WAY_MAX = 8;
/** Such first proofs by their kind, from everywhere: by ML-DSA-65 some 10 % of one core. */
const FIRST: Readonly<Record<ProofKind, Rate>> = {
  signature: { perSecond: 400, burst: 800 },
  jwt: { perSecond: 400, burst: 800 },
  // a chain may cost many signatures
  x509: { perSecond: 50, burst: 100 },
};
/** Of them in one name from one address: who claims that of another leaves room for the rest. */
const FIRST_OF_NAME: Rate = { perSecond: 100, burst: 100 };

export type ProofKind = 'signature' | 'jwt' | 'x509';

/** Who a caller says that it is; not checked. */
export interface Claim {
  readonly address: string;
  readonly kind: ProofKind;
  readonly name: string;
}

/**
 * What looking at proofs may cost: a share of the places for each party, and for each address a
 * rate of proofs that do not hold. A party is an address; who has proved itself from there before
 * is one of its own, which the failures of others there do not touch. What fails is the address's,
 * whoever it says that it is: the name is only known where the proof holds. Where an address has
 * no more failures or places, a caller that is new from there is looked at still, from a reserve:
 * a rate for each kind of proof and each name.
 */
export class VerificationWork {
  readonly #shares: Shares;
  readonly #failures: TokenBuckets;
  readonly #proved = new Set<string>();
  readonly #firstShares = new Shares(FIRST_UNDER_WAY_MAX);
  readonly #firstOfKind: Readonly<Record<ProofKind, TokenBuckets>>;
  readonly #firstOfName: TokenBuckets;

  constructor(failures: Rate, clock: Pick<Clock, 'monotonic_ms'>, max = UNDER_WAY_MAX) {
    this.#shares = new Shares(max);
    this.#failures = new TokenBuckets(failures, clock);
    this.#firstOfKind = {
      signature: new TokenBuckets(FIRST.signature, clock),
      jwt: new TokenBuckets(FIRST.jwt, clock),
      x509: new TokenBuckets(FIRST.x509, clock),
    };
    this.#firstOfName = new TokenBuckets(FIRST_OF_NAME, clock);
  }

  /** What `verify` gives. Throws `overloaded`, `rate_limited`, or as `verify`. */
  async run<T>(claim: Claim, verify: () => Promise<T>): Promise<T> {
    // a name may be as long as a header
    const own = hash('sha256', JSON.stringify([claim.address, claim.kind, claim.name]));
    const give = this.#place(claim, own);
    try {
      const found = await verify();
      this.#note(own);
      return found;
    } catch (error) {
      this.#failures.take(claim.address);
      throw error;
    } finally {
      give();
    }
  }

  /** Takes a place; what is returned gives it back. */
  #place({ address, kind }: Claim, own: string): () => void {
    if (this.#proved.has(own)) {
      if (!this.#shares.take(own)) busy();
      return () => this.#shares.give(own);
    }
    if (this.#failures.has(address) && this.#shares.take(address)) {
      return () => this.#shares.give(address);
    }
    this.#takeFirst(kind, own);
    return () => this.#firstShares.give(own);
  }

  #takeFirst(kind: ProofKind, own: string): void {
    const rates = [[this.#firstOfName, own], [this.#firstOfKind[kind], kind]] as const;
    for (const [buckets, party] of rates) {
      if (buckets.has(party)) continue;
      const message = 'Too many proofs from there did not hold: wait, then send one that does.';
      fail('rate_limited', message, { retryAfter_s: buckets.wait_s(party) });
    }
    if (!this.#firstShares.take(own)) busy();
    for (const [buckets, party] of rates) buckets.take(party);
  }

  #note(own: string): void {
    this.#proved.delete(own);
    this.#proved.add(own);
    if (this.#proved.size <= PROVED_MAX) return;
    const [oldest] = this.#proved;
    if (oldest !== undefined) this.#proved.delete(oldest);
  }
}

function busy(): never {
  return fail('overloaded', 'The node is busy with checking who calls: try again.');
}
