import { X0tError } from '#ledger/errors.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { trustDomainOf } from '#projections/identity.ts';

/**
 * Whether the certificate of an authority reads, is one of a signer, and is of the network's trust
 * domain. The readers of certificates are loaded when one comes.
 */
export async function isAuthoritySound(
  x509: unknown,
  genesis: Pick<Genesis, 'name' | 'salt'>,
): Promise<boolean> {
  if (!(x509 instanceof Uint8Array)) return false;
  const { readCertificate } = await import('#node/identity/certificate.ts');
  const { checkSigner } = await import('#node/identity/x509-svid.ts');
  try {
    return checkSigner(readCertificate(x509))?.trustDomain === trustDomainOf(genesis);
  } catch (error) {
    if (error instanceof X0tError) return false;
    throw error;
  }
}
