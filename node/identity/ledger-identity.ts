import { createHash, createPublicKey } from 'node:crypto';
import { codeOf, fail } from '#ledger/errors.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import type { AuthorityRow, IdentityView } from '#projections/identity.ts';
import { parseTrustDomain } from '#projections/spiffe-id.ts';
import { parseBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { holdsOn } from './entries.ts';
import type { IdentitySnapshot, IdentityState } from './entries.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import { Vouching } from './vouching.ts';
import type { Published } from './vouching.ts';
import { checkSigner } from './x509-svid.ts';

/** How often the bundle's consumers should look: a revocation is to be known within this time. */
export const REFRESH_HINT_S = 60;
/** Authorities that there can be; places for how many of them have ended since the last event. */
const ENDED_MAX = 1024n;

type HeldRow = IdentityView['authorities'][number];

const namesOf = (rows: readonly HeldRow[]): string =>
  rows.map(({ actor, jwt }) => `${actor}/${jwt.kid}`).join('\n');

/** What a row says, read. */
interface ReadAuthority {
  readonly x509: Certificate;
  readonly jwt: JwtAuthority;
}

export interface LedgerIdentityParts {
  /** The projection's rows at this moment. */
  readonly view: () => IdentityView;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether what the actor published counts now, by what is final (`may-issue.ts`). */
  readonly mayIssue: (actor: Id) => boolean;
  /** Events in the final log: sequences of the bundle follow from it. */
  readonly finals: () => number;
  /** This node: entries for other nodes' hosts are left out. */
  readonly actor: Id;
}

/**
 * The final log's identities as the provider serves them: what does not parse is left out and said,
 * authorities that have ended, or whose actor may not issue any more, are left out. `refresh` looks
 * for what has changed.
 */
export class LedgerIdentity implements IdentityState {
  readonly #parts: LedgerIdentityParts;
  readonly #listeners = new Set<() => void>();
  /** By the bytes of certificate and key, of those in the view: a row is read once. */
  #read = new Map<string, ReadAuthority | undefined>();
  /** By name and digest, of those in the view. */
  #foreignRead = new Map<string, readonly Bundle[]>();
  #view: IdentityView;
  /** Of the authorities that counted last, and the sequence since. */
  #counted = '';
  #sequence = -1n;
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

  /** `isChanged`: events changed the rows. Else only what time and standing change is looked at. */
  refresh(isChanged: boolean): void {
    if (isChanged) this.#view = this.#parts.view();
    else if (this.#counted === namesOf(this.#counting())) return;
    this.#current = this.#snapshot();
    for (const listener of this.#listeners) listener();
  }

  #counting(): readonly HeldRow[] {
    const { clock, mayIssue } = this.#parts;
    const now_ms = clock.wall_ms();
    const { authorities } = this.#view;
    const issuers = new Set(authorities.map(({ actor }) => actor));
    const allowed = new Set([...issuers].filter((actor) => mayIssue(actor)));
    return authorities.filter((one) => now_ms < one.notAfter_ms && allowed.has(one.actor));
  }

  /**
   * Grows whenever the bundle changes (Trust Domain and Bundle, 4.1.1), also with what is no event:
   * an authority that ends, an isolation that ends. Nodes agree on it but for such changes.
   */
  #follow(rows: readonly HeldRow[]): void {
    const counted = namesOf(rows);
    if (counted === this.#counted && this.#sequence >= 0n) return;
    this.#counted = counted;
    const ended = this.#view.authorities.length - rows.length;
    const due = BigInt(this.#parts.finals()) * ENDED_MAX + BigInt(ended);
    this.#sequence = due > this.#sequence ? due : this.#sequence + 1n;
  }

  #snapshot(): IdentitySnapshot {
    const { actor } = this.#parts;
    const { trustDomain, entries } = this.#view;
    const published = this.#published();
    return {
      trustDomain: parseTrustDomain(trustDomain),
      entries: entries.filter((entry) => holdsOn(entry, actor)),
      bundle: this.#bundle(published),
      vouching: new Vouching(trustDomain, entries, published),
      federated: this.#federated(),
    };
  }

  /** One that did not change is not read again: any validator may cause events of federation. */
  #federated(): readonly Bundle[] {
    const read = new Map<string, readonly Bundle[]>();
    for (const one of this.#view.federations) {
      const name = `${one.trustDomain} ${one.digest}`;
      read.set(name, this.#foreignRead.get(name) ?? this.#foreign(one));
    }
    this.#foreignRead = read;
    return [...read.values()].flat();
  }

  /** What counts now and can be read. */
  #published(): readonly Published[] {
    const read = new Map<string, ReadAuthority | undefined>();
    const rows = this.#counting();
    this.#follow(rows);
    const published = rows.flatMap((row) => {
      const { actor, x509, jwt } = row;
      const name = `${x509.toBase64()} ${jwt.kid} ${jwt.x.toBase64()} ${jwt.y.toBase64()}`;
      const known = read.has(name) ? read : this.#read;
      const authority = known.has(name) ? known.get(name) : this.#authority(row);
      read.set(name, authority);
      return authority ? [{ actor, ...authority }] : [];
    });
    this.#read = read;
    return published;
  }

  #bundle(published: readonly Published[]): Bundle {
    const jwtByKid = new Map(published.map(({ jwt }) => [jwt.kid, jwt]));
    return {
      trustDomain: this.#view.trustDomain,
      // what two published alike is there once
      x509: [...new Set(published.map(({ x509 }) => x509))],
      jwt: [...jwtByKid.values()],
      sequence: this.#sequence,
      refreshHint_s: REFRESH_HINT_S,
    };
  }

  /**
   * One that carries another domain's ID, is no signer, or has a key that cannot be used, counts
   * for nothing: a rogue issuer is to do no harm beyond its own SVIDs.
   */
  #authority({ x509, jwt }: AuthorityRow): ReadAuthority | undefined {
    try {
      const certificate = readCertificate(x509);
      const id = checkSigner(certificate);
      // throws for keys that no JWK can tell of, as RSA-PSS: they would break every document
      certificate.publicKey.export({ format: 'jwk' });
      if (id?.trustDomain === this.#view.trustDomain) {
        return { x509: certificate, jwt: readJwtAuthority(jwt) };
      }
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

/**
 * The key of a row. Its id is the key's own digest (RFC 7638), as nodes make it: nobody can publish
 * another key by the id of an honest one. Fails with `jwt_authority_invalid`.
 */
function readJwtAuthority({ kid, x, y }: AuthorityRow['jwt']): JwtAuthority {
  const [xText, yText] = [x, y].map((one) => Buffer.from(one).toString('base64url'));
  // the members that RFC 7638 takes, in its order
  const jwk = { crv: 'P-256', kty: 'EC', x: xText as string, y: yText as string };
  if (createHash('sha256').update(JSON.stringify(jwk)).digest('base64url') !== kid) {
    fail('jwt_authority_invalid', 'the id of a JWT authority is not the digest of its key');
  }
  try {
    createPublicKey({ format: 'jwk', key: jwk });
  } catch {
    fail('jwt_authority_invalid', 'the key of a JWT authority is no point of its curve');
  }
  return { kid, jwk };
}
