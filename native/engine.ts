/**
 * The door to ML-DSA-65 (FIPS 204, pure, empty context). Two engines that know nothing of each
 * other: `liboqs` built to WebAssembly and OpenSSL 3.5 inside Node. Both load the same stored
 * secret key (`secret-key.ts`), and each verifies what the other signed
 * (`test/contracts/signatures.ts`).
 */
import type { SignatureJob, Signer } from '#ledger/ports.ts';
import { GOSSIP_BYTES_MAX, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '#ledger/limits.ts';

export type EngineName = 'liboqs' | 'openssl';

/**
 * The longest message that is signed or verified: nothing the ledger signs is longer than what
 * gossip carries, and WebAssembly memory that one huge message made grow never shrinks. A longer
 * message has no valid signature here.
 */
export const MESSAGE_BYTES_MAX = GOSSIP_BYTES_MAX;

/**
 * A raw key pair: 1,952 bytes public, 4,032 bytes secret (FIPS 204 `skEncode`). The caller wipes
 * the secret.
 */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** A signer whose key can be taken out of memory. */
export interface ClosableSigner extends Signer {
  /**
   * Wipes the key as far as the engine allows. Later calls of `sign` reject with `engine_closed`.
   * Idempotent.
   */
  close(): void;
}

/** An engine in the calling thread. */
export interface Engine {
  /** Name and version, e.g. `liboqs 0.15.1 (wasm)`. */
  readonly engine: string;
  /**
   * Blocks for about 0.15 ms. False for wrong lengths; a throw means a broken engine, never a bad
   * job.
   */
  verify(job: SignatureJob): boolean;
  /**
   * A signer with a copy of the raw secret key; the caller may wipe its own. Throws
   * `secret_key_malformed` or `key_pair_mismatch`; its `sign` rejects with `message_too_long` and
   * `engine_closed`.
   */
  createSigner(secretKey: Uint8Array, publicKey: Uint8Array): ClosableSigner;
}

/** Loads an engine once per thread. Rejects with `engine_missing` where it cannot work. */
export async function loadEngine(name: EngineName): Promise<Engine> {
  if (name === 'liboqs') return (await import('./oqs.ts')).loadOqs();
  return (await import('./openssl.ts')).loadOpenssl();
}

/** Whether the lengths of a job permit a valid signature. */
export function plausible(job: SignatureJob): boolean {
  return (
    job.publicKey.length === PUBLIC_KEY_BYTES &&
    job.signature.length === SIGNATURE_BYTES &&
    job.message.length <= MESSAGE_BYTES_MAX
  );
}
