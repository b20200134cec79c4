import type { Certificate } from '#node/identity/certificate.ts';

/** As TLS wants a chain. */
export function serialiseX509(chain: readonly Certificate[]): string {
  return chain.map(({ openssl }) => openssl.toString()).join('');
}
