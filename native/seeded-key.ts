/**
 * An ML-DSA-65 key out of 32 bytes (FIPS 204 `KeyGen_internal`), by OpenSSL: liboqs expands no
 * seeds. For keys that are used once and written down short.
 */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { X0tError, fail } from '#ledger/errors.ts';
import { PUBLIC_KEY_BYTES } from '#ledger/limits.ts';
import type { Signer } from '#ledger/ports.ts';

export const SEED_BYTES = 32;

/** PKCS#8 with the `seed` choice of RFC 9881: 32 bytes follow. */
const SEED_PREFIX = Uint8Array.fromHex('3034020100300b060960864801650304031204228020');

/** Throws `secret_key_malformed`, or `engine_missing` where OpenSSL has no ML-DSA-65. */
export function signerOfSeed(seed: Uint8Array): Signer {
  if (seed.length !== SEED_BYTES) {
    fail('secret_key_malformed', `A seed has ${SEED_BYTES} bytes.`, { bytes: seed.length });
  }
  const der = Buffer.concat([SEED_PREFIX, seed]);
  try {
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
    const publicKey = Uint8Array.from(spki.subarray(spki.length - PUBLIC_KEY_BYTES));
    return {
      engine: `openssl ${process.versions.openssl} (node), of a seed`,
      publicKey,
      sign: (message) => Promise.resolve(Uint8Array.from(sign(null, message, key))),
    };
  } catch (cause) {
    const message = 'This OpenSSL makes no ML-DSA-65 key of a seed; use a Node with 3.5 or later.';
    throw new X0tError('engine_missing', message, {}, { cause });
  } finally {
    der.fill(0);
  }
}
