import { webcrypto } from 'node:crypto';
import { SignJWT, calculateJwkThumbprint, exportJWK } from 'jose';
import { fail } from '#ledger/errors.ts';
import type { Clock, Entropy } from '#ledger/ports.ts';
import type { Certificate } from './certificate.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import { makeIntermediate, makeLeaf, makeRoot } from './x509-issuing.ts';
import type { Signer } from './x509-issuing.ts';

/** Life of a node's authorities: a leaked key is worth no more than this. */
export const AUTHORITY_TTL_S = 7 * 24 * 3600;

/** What of an authority everyone may know, and must before its SVIDs are of use. */
export interface PublishedAuthority {
  readonly x509: Certificate;
  readonly jwt: JwtAuthority;
}

/** Who signs for a node's intermediate: the root of the trust domain, wherever its key is. */
export interface Upstream {
  readonly root: Certificate;
  /** An intermediate that ends no later than the root. */
  intermediate(trustDomain: SpiffeId, now_ms: number): Promise<Signer>;
}

/** A root whose key this process holds, in memory only; it dies with the process. */
export class HeldRoot implements Upstream {
  readonly #signer: Signer;
  readonly #entropy: Entropy;

  private constructor(signer: Signer, entropy: Entropy) {
    this.#signer = signer;
    this.#entropy = entropy;
  }

  static async make(trustDomain: SpiffeId, now_ms: number, entropy: Entropy): Promise<HeldRoot> {
    const times = { now_ms, ttl_s: AUTHORITY_TTL_S };
    return new HeldRoot(await makeRoot(trustDomain, times, entropy), entropy);
  }

  get root(): Certificate {
    return this.#signer.certificate;
  }

  intermediate(trustDomain: SpiffeId, now_ms: number): Promise<Signer> {
    const times = { now_ms, ttl_s: AUTHORITY_TTL_S };
    return makeIntermediate(trustDomain, this.#signer, times, this.#entropy);
  }
}

/** An X.509-SVID as a workload gets it. */
export interface IssuedX509 {
  readonly id: SpiffeId;
  /** DER certificates one behind the other: the leaf, then the intermediate. */
  readonly chain: Uint8Array;
  /** PKCS #8, DER. Secret. */
  readonly key: Uint8Array;
  readonly notBefore_ms: number;
  readonly notAfter_ms: number;
}

/**
 * The keys with which one node issues SVIDs: an intermediate under a root of the trust domain, and
 * a P-256 key for tokens. Private keys cannot be taken out. It signs what it is told to: who may
 * have which identity is decided by the caller.
 */
export class Authority {
  readonly trustDomain: SpiffeId;
  readonly published: PublishedAuthority;
  readonly notBefore_ms: number;
  readonly notAfter_ms: number;
  readonly #intermediate: Signer;
  readonly #jwtKey: webcrypto.CryptoKey;
  readonly #clock: Clock;
  readonly #entropy: Entropy;

  private constructor(
    trustDomain: SpiffeId,
    upstream: Upstream,
    intermediate: Signer,
    jwt: { readonly key: webcrypto.CryptoKey; readonly authority: JwtAuthority },
    ports: { readonly clock: Clock; readonly entropy: Entropy },
  ) {
    this.trustDomain = trustDomain;
    this.published = { x509: upstream.root, jwt: jwt.authority };
    this.notBefore_ms = intermediate.certificate.notBefore_ms;
    this.notAfter_ms = Math.min(intermediate.certificate.notAfter_ms, upstream.root.notAfter_ms);
    this.#intermediate = intermediate;
    this.#jwtKey = jwt.key;
    this.#clock = ports.clock;
    this.#entropy = ports.entropy;
  }

  /** Fresh keys, certified by `upstream`, or by a root made for them. */
  static async make(
    trustDomain: SpiffeId,
    ports: { readonly clock: Clock; readonly entropy: Entropy },
    upstream?: Upstream,
  ): Promise<Authority> {
    const now_ms = ports.clock.wall_ms();
    const root = upstream ?? (await HeldRoot.make(trustDomain, now_ms, ports.entropy));
    const intermediate = await root.intermediate(trustDomain, now_ms);
    const { privateKey, publicKey } = await webcrypto.subtle.generateKey(
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign', 'verify'],
    );
    const { kty, crv, x, y } = await exportJWK(publicKey);
    const jwk = { kty: kty as string, crv: crv as string, x: x as string, y: y as string };
    const kid = await calculateJwkThumbprint(jwk);
    const jwt = { key: privateKey, authority: { kid, jwk } };
    return new Authority(trustDomain, root, intermediate, jwt, ports);
  }

  /** A fresh key and a certificate for it. Fails with `issuer_other_domain`, `issuer_expired`. */
  async issueX509(id: SpiffeId, ttl_s: number): Promise<IssuedX509> {
    this.#check(id);
    const times = { now_ms: this.#clock.wall_ms(), ttl_s };
    const { certificate, key } = await makeLeaf(id, this.#intermediate, times, this.#entropy);
    const { der } = this.#intermediate.certificate;
    return {
      id,
      chain: Buffer.concat([certificate.der, der]),
      key,
      notBefore_ms: certificate.notBefore_ms,
      notAfter_ms: certificate.notAfter_ms,
    };
  }

  /** A token with ES256. Fails as `issueX509` does. */
  async issueJwt(id: SpiffeId, audience: readonly string[], ttl_s: number): Promise<string> {
    this.#check(id);
    const now_s = Math.floor(this.#clock.wall_ms() / 1000);
    return new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: this.published.jwt.kid, typ: 'JWT' })
      .setSubject(id.uri)
      .setAudience([...audience])
      .setIssuedAt(now_s)
      .setExpirationTime(Math.min(now_s + ttl_s, Math.floor(this.notAfter_ms / 1000)))
      .sign(this.#jwtKey);
  }

  #check(id: SpiffeId): void {
    if (id.trustDomain !== this.trustDomain.trustDomain || id.path === '') {
      fail('issuer_other_domain', 'only workloads of the own trust domain get SVIDs here', {
        id: id.uri,
        trustDomain: this.trustDomain.trustDomain,
      });
    }
    if (this.#clock.wall_ms() >= this.notAfter_ms) {
      fail('issuer_expired', 'the authority of this node has expired and is not renewed yet');
    }
  }
}
