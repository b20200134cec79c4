import type { TLSSocket } from 'node:tls';
import type { Clock } from '#ledger/ports.ts';
import type { Certificate } from './certificate.ts';
import { CLOCK_SKEW_MS } from './limits.ts';
import { chainOf } from './tls-chain.ts';
import { validateX509Svid } from './x509-svid.ts';
import type { X509Authorities, X509Svid } from './x509-svid.ts';

interface Proved {
  readonly svid: X509Svid;
  readonly anchors: readonly Certificate[] | undefined;
}

/**
 * Which X.509-SVIDs the other ends of TLS connections have, asked again for each request: that the
 * other end holds the certificate's key was proved when the connection began; whether the
 * certificate is an SVID that is believed is decided here. What was found out about a connection
 * counts for as long as the SVID holds and the authorities of its trust domain are the same.
 */
export class ProvedSockets {
  readonly #authorities: X509Authorities;
  readonly #clock: Pick<Clock, 'wall_ms'>;
  readonly #proved = new WeakMap<TLSSocket, Proved>();

  constructor(authorities: X509Authorities, clock: Pick<Clock, 'wall_ms'>) {
    this.#authorities = authorities;
    this.#clock = clock;
  }

  /**
   * What is known already and still holds: costs no validation. Throws where its authority may not
   * vouch for it any more.
   */
  known(socket: TLSSocket): X509Svid | undefined {
    const known = this.#proved.get(socket);
    if (known && this.#isAsBefore(known, this.#clock.wall_ms())) {
      this.#authorities.assertVouched?.(known.svid);
      return known.svid;
    }
    this.#proved.delete(socket);
    return undefined;
  }

  /** Throws the codes of `chainOf` and `validateX509Svid`. */
  assert(socket: TLSSocket): X509Svid {
    const known = this.known(socket);
    if (known) return known;
    const svid = validateX509Svid(chainOf(socket), this.#authorities, this.#clock.wall_ms());
    const anchors = this.#authorities.x509AuthoritiesOf(svid.id.trustDomain);
    this.#proved.set(socket, { svid, anchors });
    return svid;
  }

  #isAsBefore({ svid, anchors }: Proved, now_ms: number): boolean {
    return (
      this.#authorities.x509AuthoritiesOf(svid.id.trustDomain) === anchors &&
      now_ms <= svid.notAfter_ms + CLOCK_SKEW_MS &&
      now_ms >= svid.notBefore_ms - CLOCK_SKEW_MS
    );
  }
}
