/**
 * ML-DSA-65 by the OpenSSL in Node (3.5 and later) through `node:crypto`. Signing runs on libuv's
 * thread pool; verification is offered in the calling thread and on the pool.
 */
import {
  createPrivateKey,
  createPublicKey,
  hash,
  sign as cryptoSign,
  verify as cryptoVerify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { X0tError, fail } from '#ledger/errors.ts';
import { PUBLIC_KEY_BYTES } from '#ledger/limits.ts';
import type { SignatureJob } from '#ledger/ports.ts';
import type { ClosableSigner, Engine } from './engine.ts';
import { MESSAGE_BYTES_MAX, plausible } from './engine.ts';
import { checkKeyPair, encodeSecretKey } from './secret-key.ts';

/**
 * Imported public keys kept per thread. An import costs 20 to 80 µs and a kept key some 11 KB of
 * native memory (measured): a full committee and as many clients again fit in 3 MB.
 */
const KEYS_MAX = 256;

/** SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.3.18 }, BIT STRING (1952 bytes) } (RFC 9881). */
const SPKI_PREFIX = Buffer.from('308207b2300b0609608648016503040312038207a100', 'hex');

const ENGINE = `openssl ${process.versions.openssl} (node)`;

/**
 * By SHA-256 of the raw key; a Map keeps insertion order, so the first entry is the one used
 * longest ago.
 */
const keys = new Map<string, KeyObject>();

const engine: Engine = { engine: ENGINE, verify: opensslVerify, createSigner };

/** The engine. Rejects with `engine_missing` where OpenSSL has no ML-DSA-65. */
export async function loadOpenssl(): Promise<Engine> {
  try {
    publicKeyOf(new Uint8Array(PUBLIC_KEY_BYTES));
  } catch (cause) {
    throw new X0tError(
      'engine_missing',
      'This OpenSSL has no ML-DSA-65; use a Node with OpenSSL 3.5 or later, or the liboqs engine',
      { openssl: process.versions.openssl ?? 'none' },
      { cause },
    );
  }
  return engine;
}

/** Verifies in the calling thread. */
function opensslVerify(job: SignatureJob): boolean {
  if (!plausible(job)) return false;
  return cryptoVerify(null, job.message, publicKeyOf(job.publicKey), job.signature);
}

/**
 * Verifies on libuv's thread pool; the caller bounds how many are under way. The bytes must not
 * change meanwhile.
 */
export function opensslVerifyAsync(job: SignatureJob): Promise<boolean> {
  if (!plausible(job)) return Promise.resolve(false);
  const key = publicKeyOf(job.publicKey);
  return new Promise((resolve, reject) => {
    cryptoVerify(null, job.message, key, job.signature, (error, isValid) => {
      if (error === null) resolve(isValid);
      else reject(new X0tError('engine_failed', 'OpenSSL could not verify', {}, { cause: error }));
    });
  });
}

function publicKeyOf(raw: Uint8Array): KeyObject {
  const digest = hash('sha256', raw, 'base64');
  const known = keys.get(digest);
  if (known !== undefined) {
    keys.delete(digest);
    keys.set(digest, known);
    return known;
  }
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, raw]),
    format: 'der',
    type: 'spki',
  });
  if (keys.size >= KEYS_MAX) {
    for (const oldest of keys.keys()) {
      keys.delete(oldest);
      break;
    }
  }
  keys.set(digest, key);
  return key;
}

/**
 * Node cannot wipe a `KeyObject`: `close` lets go of it, and OpenSSL cleanses it when it is
 * collected.
 */
function createSigner(secretKey: Uint8Array, publicKey: Uint8Array): ClosableSigner {
  checkKeyPair(secretKey, publicKey);
  let key: KeyObject | undefined = importSecretKey(secretKey);
  return {
    engine: ENGINE,
    publicKey: Uint8Array.from(publicKey),
    async sign(message) {
      if (message.length > MESSAGE_BYTES_MAX) {
        fail('message_too_long', `Sign at most ${MESSAGE_BYTES_MAX} bytes`, {
          bytes: message.length,
        });
      }
      return signWith(
        key ?? fail('engine_closed', 'This signer was closed; load the key again'),
        message,
      );
    },
    close() {
      key = undefined;
    },
  };
}

function importSecretKey(secretKey: Uint8Array): KeyObject {
  const der = encodeSecretKey(secretKey);
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' });
  } catch {
    // The cause is left out: no text made from key bytes may travel in an error.
    return fail(
      'secret_key_malformed',
      'OpenSSL refuses this ML-DSA-65 private key; restore it from its backup',
    );
  } finally {
    der.fill(0);
  }
}

function signWith(key: KeyObject, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    cryptoSign(null, message, key, (error, signature) => {
      if (error === null)
        resolve(new Uint8Array(signature.buffer, signature.byteOffset, signature.length));
      else
        reject(
          new X0tError(
            'engine_failed',
            'OpenSSL could not sign; see the cause',
            {},
            { cause: error },
          ),
        );
    });
  });
}
