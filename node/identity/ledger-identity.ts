import { codeOf } from '#ledger/errors.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import type { AuthorityRow, IdentityView } from '#projections/identity.ts';
import { parseTrustDomain } from '#projections/spiffe-id.ts';
import { parseBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { IdentitySnapshot, IdentityState } from './entries.ts';
import { checkSigner } from './x509-svid.ts';

/** How often the bundle's consumers should look: a revocation is to be known within this time. */
export const REFRESH_HINT_S = 60;
/** Authorities that there can be; places for how many of them have ended since the last event. */
const ENDED_MAX = 1024n;

export interface LedgerIdentityParts {
  /** The projection's rows at this moment. */
  readonly view: () => IdentityView;
  readonly clock: Clock;
  readonly log: Log;
  /** This node: entries for other nodes' hosts are left out. */
  readonly actor: Id;
}

/**
 * The final log's identities as the provider serves them: what does not parse is left out and said,
 * authorities that have ended are left out. `refresh` looks for what has changed.
 */
export class LedgerIdentity implements IdentityState {
  readonly #parts: LedgerIdentityParts;
  readonly #listeners = new Set<() => void>();
  /** By certificate bytes as base64, of those in the view: a certificate is read once. */
  #read = new Map<string, Certificate | undefined>();
  #view: IdentityView;
  #current: IdentitySnapshot;

  constructor(parts: LedgerIdentityParts) {
    this.#parts = parts;
    this.#view = parts.view();
    this.#current = this.#snapshot();
  }

  get current(): IdentitySnapshot {
    return this.#current;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** `isChanged`: events changed the rows. Else only what time changes is looked at. */
  refresh(isChanged: boolean): void {
    if (isChanged) this.#view = this.#parts.view();
    else if (this.#current.bundle.sequence === this.#sequence()) return;
    this.#current = this.#snapshot();
    for (const listener of this.#listeners) listener();
  }

  #living(): readonly AuthorityRow[] {
    const now_ms = this.#parts.clock.wall_ms();
    return this.#view.authorities.filter(({ notAfter_ms }) => now_ms < notAfter_ms);
  }

  /**
   * Grows with every event that changes the bundle, and with every authority that ends (Trust
   * Domain and Bundle, 4.1.1); the same on all nodes whose clocks agree.
   */
  #sequence(): bigint {
    const ended = this.#view.authorities.length - this.#living().length;
    return BigInt(this.#view.sequence) * ENDED_MAX + BigInt(ended);
  }

  #snapshot(): IdentitySnapshot {
    const { actor } = this.#parts;
    const { trustDomain, entries } = this.#view;
    return {
      trustDomain: parseTrustDomain(trustDomain),
      entries: entries.filter(({ nodes }) => nodes.length === 0 || nodes.includes(actor)),
      bundle: this.#bundle(),
      federated: this.#view.federations.flatMap((one) => this.#foreign(one)),
    };
  }

  #bundle(): Bundle {
    const { trustDomain } = this.#view;
    const read = new Map<string, Certificate | undefined>();
    const rows = this.#living().flatMap((row) => {
      const name = row.x509.toBase64();
      const certificate = this.#read.has(name) ? this.#read.get(name) : this.#authority(row);
      read.set(name, certificate);
      return certificate ? [{ row, certificate }] : [];
    });
    this.#read = read;
    return {
      trustDomain,
      x509: rows.map(({ certificate }) => certificate),
      jwt: rows.map(({ row: { jwt } }) => ({
        kid: jwt.kid,
        jwk: {
          kty: 'EC',
          crv: 'P-256',
          x: Buffer.from(jwt.x).toString('base64url'),
          y: Buffer.from(jwt.y).toString('base64url'),
        },
      })),
      sequence: this.#sequence(),
      refreshHint_s: REFRESH_HINT_S,
    };
  }

  /** One that carries another domain's ID, or is no signer, counts for nothing. */
  #authority({ x509, jwt }: AuthorityRow): Certificate | undefined {
    try {
      const certificate = readCertificate(x509);
      const id = checkSigner(certificate);
      if (id?.trustDomain === this.#view.trustDomain) return certificate;
      this.#parts.log.warn({ kid: jwt.kid }, 'an authority is not of this trust domain');
    } catch (error) {
      this.#parts.log.warn({ kid: jwt.kid, code: codeOf(error) }, 'an authority cannot be read');
    }
    return undefined;
  }

  #foreign({ trustDomain, bundle }: IdentityView['federations'][number]): Bundle[] {
    try {
      return [parseBundle(trustDomain, bundle)];
    } catch (error) {
      this.#parts.log.warn({ trustDomain, code: codeOf(error) }, 'a bundle cannot be read');
      return [];
    }
  }
}
