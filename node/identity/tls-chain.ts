import type { TLSSocket } from 'node:tls';
import { fail } from '#ledger/errors.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { CHAIN_MAX } from './limits.ts';

/**
 * What the other side of a TLS connection presented: the leaf, then its intermediates; empty where
 * it presented nothing. OpenSSL's own verdict is not asked.
 */
export function chainOf(socket: TLSSocket): Certificate[] {
  const chain: Certificate[] = [];
  const seen = new Set<string>();
  let one = socket.getPeerX509Certificate();
  for (; one && !seen.has(one.fingerprint256); one = one.issuerCertificate) {
    if (chain.length >= CHAIN_MAX) {
      fail('x509_svid_invalid', 'the chain is too long', { rule: 'chain' });
    }
    seen.add(one.fingerprint256);
    chain.push(readCertificate(new Uint8Array(one.raw)));
  }
  return chain;
}
