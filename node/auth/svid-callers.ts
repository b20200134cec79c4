import type { TLSSocket } from 'node:tls';
import type { IncomingMessage } from 'node:http';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import { validateJwtSvid } from '#node/identity/jwt-svid.ts';
import type { JwtAuthorities, JwtAuthority } from '#node/identity/jwt-svid.ts';
import { CLOCK_SKEW_MS } from '#node/identity/limits.ts';
import { ProvedSockets } from '#node/identity/proved-sockets.ts';
import type { X509Authorities } from '#node/identity/x509-svid.ts';
import type { Proof } from '#node/identity/vouching.ts';
import type { Caller } from './caller.ts';
import { isEncrypted, isLoopbackAddress, isPassedOn } from './request-target.ts';
import { networkOf } from '#ledger/token-buckets.ts';
import type { Claim, VerificationWork } from './verification-work.ts';

/** Whose SVIDs are believed now: bundles are asked for anew for every request. */
export interface SpiffeTrust extends X509Authorities, JwtAuthorities {
  /** Throws `svid_not_registered` where the authority may not vouch for the ID (any more). */
  assertVouched(proof: Proof): void;
  /** The SPIFFE IDs of this node: what a token for it may name as its audience. */
  readonly ownIds: readonly string[];
  /** Calls after bundles have changed; the returned function ends it. */
  subscribe(listener: () => void): () => void;
}

export interface SvidCallersParts {
  readonly trust: SpiffeTrust;
  readonly clock: Pick<Clock, 'wall_ms'>;
  readonly work: VerificationWork;
  /** Audiences besides the node's own SPIFFE IDs. */
  readonly audience: readonly string[];
}

/**
 * Workloads that prove a SPIFFE ID: with the certificate of their connection, or with a token, for
 * every request anew.
 */
export class SvidCallers {
  readonly #parts: SvidCallersParts;
  readonly #sockets: ProvedSockets;

  constructor(parts: SvidCallersParts) {
    this.#parts = parts;
    this.#sockets = new ProvedSockets(parts.trust, parts.clock);
  }

  /** Throws the codes of `validateX509Svid`, `overloaded` or `rate_limited`. */
  async x509(socket: TLSSocket): Promise<Caller> {
    const { id, notAfter_ms } =
      this.#sockets.known(socket) ??
      (await this.#parts.work.run(claimIn(socket), async () => this.#sockets.assert(socket)));
    return {
      principal: { type: 'Spiffe', id: id.uri },
      until_ms: notAfter_ms + CLOCK_SKEW_MS,
      assertHolds: () => void this.#sockets.assert(socket),
    };
  }

  /**
   * Who a JWT-SVID is of. Throws the codes of `validateJwtSvid`, and `credential_insecure` where
   * others could have read it on its way.
   */
  async jwt(request: IncomingMessage, token: string): Promise<Caller> {
    const { trust, clock, work, audience } = this.#parts;
    const { remoteAddress } = request.socket;
    const isFromHere = isLoopbackAddress(remoteAddress) && !isPassedOn(request);
    if (!isEncrypted(request) && !isFromHere) {
      const message = 'A token is sent over TLS only: use the https address of this node.';
      fail('credential_insecure', message);
    }
    const wanted = [...trust.ownIds, ...audience];
    const address = networkOf(remoteAddress);
    const claim: Claim = { address, kind: 'jwt', name: subjectOf(token) };
    const { id, expiry_ms, authority } = await work.run(claim, () =>
      validateJwtSvid(token, wanted, trust, clock.wall_ms()),
    );
    const { kid } = decodeProtectedHeader(token);
    const keys = this.#keysNamed(id.trustDomain, kid);
    const until_ms = expiry_ms + CLOCK_SKEW_MS;
    return {
      principal: { type: 'Spiffe', id: id.uri },
      until_ms,
      assertHolds: () => {
        if (clock.wall_ms() >= until_ms) {
          fail('svid_expired', 'the token has expired', { notAfter_ms: expiry_ms });
        }
        if (this.#keysNamed(id.trustDomain, kid) !== keys) {
          fail('jwt_svid_key_unknown', 'the key of the token is no authority any more');
        }
        trust.assertVouched({ id, authority, notAfter_ms: expiry_ms });
      },
    };
  }

  /** The authorities that a token's header can mean, as a text that can be compared. */
  #keysNamed(trustDomain: string, kid: string | undefined): string {
    const held = this.#parts.trust.jwtAuthoritiesOf(trustDomain) ?? [];
    const isMeant = (one: JwtAuthority) => kid === undefined || one.kid === kid;
    return JSON.stringify(held.filter(isMeant));
  }
}

/** Who a certificate says that it is of; not checked. */
function claimIn(socket: TLSSocket): Claim {
  const { subjectAltName = '' } = socket.getPeerX509Certificate() ?? {};
  return { address: networkOf(socket.remoteAddress), kind: 'x509', name: subjectAltName };
}

/** Who a token says that it is of; not checked. */
function subjectOf(token: string): string {
  try {
    return decodeJwt(token).sub ?? '';
  } catch {
    return '';
  }
}
