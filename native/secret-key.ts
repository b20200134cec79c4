/**
 * The stored form of an ML-DSA-65 private key: PKCS#8 with the `expandedKey` choice of RFC 9881,
 * 4,060 bytes of DER. It is the one form that both engines load: liboqs knows only expanded keys,
 * and OpenSSL exports keys that it made itself only as seeds, which liboqs cannot expand. So keys
 * are made by liboqs. Encryption of the file is another layer's (`node/sealed-file.ts`).
 */
import { createHash } from 'node:crypto';
import { fail } from '#ledger/errors.ts';
import { PUBLIC_KEY_BYTES } from '#ledger/limits.ts';

/** ML-DSA-65, FIPS 204 table 2: raw private key. */
const SECRET_KEY_BYTES = 4032;

/**
 * SEQUENCE { INTEGER 0, SEQUENCE { OID 2.16.840.1.101.3.4.3.18 }, OCTET STRING { OCTET STRING
 * (4032) } }.
 */
const PKCS8_PREFIX = Uint8Array.from(
  Buffer.from('30820fd8020100300b060960864801650304031204820fc404820fc0', 'hex'),
);

/** The PKCS#8 DER of a raw secret key. Throws `secret_key_malformed` on a wrong length. */
export function encodeSecretKey(secretKey: Uint8Array): Uint8Array {
  checkLength(secretKey);
  const der = new Uint8Array(PKCS8_PREFIX.length + SECRET_KEY_BYTES);
  der.set(PKCS8_PREFIX);
  der.set(secretKey, PKCS8_PREFIX.length);
  return der;
}

/**
 * A fresh raw secret key from its PKCS#8 DER. Throws `secret_key_malformed` on anything but that
 * exact form.
 */
export function decodeSecretKey(der: Uint8Array): Uint8Array {
  const isOurs =
    der.length === PKCS8_PREFIX.length + SECRET_KEY_BYTES &&
    PKCS8_PREFIX.every((byte, index) => der[index] === byte);
  if (!isOurs) {
    fail(
      'secret_key_malformed',
      'Give the private key as PKCS#8 DER with an expanded ML-DSA-65 key',
      {
        bytes: der.length,
      },
    );
  }
  return Uint8Array.from(der.subarray(PKCS8_PREFIX.length));
}

/**
 * Throws `key_pair_mismatch` unless the secret key was made with this public key: it holds the
 * public seed rho first and, after the 32-byte K, tr = SHAKE256(public key, 64) (FIPS 204
 * algorithms 6 and 24).
 */
export function checkKeyPair(secretKey: Uint8Array, publicKey: Uint8Array): void {
  checkLength(secretKey);
  const tr = createHash('shake256', { outputLength: 64 }).update(publicKey).digest();
  const matches =
    publicKey.length === PUBLIC_KEY_BYTES &&
    tr.equals(secretKey.subarray(64, 128)) &&
    Buffer.compare(publicKey.subarray(0, 32), secretKey.subarray(0, 32)) === 0;
  if (!matches)
    fail('key_pair_mismatch', 'Load the public key that was made with this private key');
}

function checkLength(secretKey: Uint8Array): void {
  if (secretKey.length === SECRET_KEY_BYTES) return;
  fail('secret_key_malformed', `A raw ML-DSA-65 private key has ${SECRET_KEY_BYTES} bytes`, {
    bytes: secretKey.length,
  });
}
