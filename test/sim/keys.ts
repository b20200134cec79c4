import { hash } from 'node:crypto';
import { coseKeyOf, keyId } from '#ledger/cose.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { Clock, SignatureJob, Verifier } from '#ledger/ports.ts';
import type { TestActor } from '#test/support/cluster.ts';

/**
 * Keys for the simulator: signatures are keyed hashes with the sizes of ML-DSA-65 and, like those,
 * differ from call to call, but by a counter, so that one seed gives one run. Only this process
 * can check them, and everyone in it could forge them: nobody does.
 */

const NONCE_BYTES = 16;
const MAC_BYTES = 32;

function publicKeyOf(name: string): Uint8Array {
  const digest = hash('shake256', `x0t simulated key ${name}`, {
    outputEncoding: 'buffer',
    outputLength: PUBLIC_KEY_BYTES,
  });
  return Uint8Array.from(digest);
}

function macOf(publicKey: Uint8Array, nonce: Uint8Array, message: Uint8Array): Buffer {
  const key = publicKey.subarray(0, MAC_BYTES);
  return hash('sha256', Buffer.concat([key, nonce, message]), 'buffer');
}

/** The actor of a name with a signer of its own count. */
export function simActor(name: string): TestActor {
  const publicKey = publicKeyOf(name);
  const coseKey = coseKeyOf(publicKey);
  let signed = 0;
  const sign = (message: Uint8Array): Promise<Uint8Array> => {
    const signature = new Uint8Array(SIGNATURE_BYTES);
    const nonce = hash('sha256', `${name}/${signed++}`, 'buffer').subarray(0, NONCE_BYTES);
    signature.set(nonce);
    signature.set(macOf(publicKey, nonce, message), NONCE_BYTES);
    return Promise.resolve(signature);
  };
  return { actor: keyId(coseKey), coseKey, signer: { engine: 'simulated', publicKey, sign } };
}

/** Any other byte than the signer wrote makes a signature invalid. */
function isValid({ publicKey, message, signature }: SignatureJob): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  const mac = macOf(publicKey, signature.subarray(0, NONCE_BYTES), message);
  const end = NONCE_BYTES + MAC_BYTES;
  if (mac.compare(signature.subarray(NONCE_BYTES, end)) !== 0) return false;
  return ZEROS.compare(signature.subarray(end)) === 0;
}

const ZEROS = Buffer.alloc(SIGNATURE_BYTES - NONCE_BYTES - MAC_BYTES);

/** The verifier of one node: it takes its time, which passes on the node's clock. */
export function slowed(verifier: Verifier, clock: Clock, delay_ms: number): Verifier {
  if (delay_ms === 0) return verifier;
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      clock.after(delay_ms, resolve);
    });
  return { ...verifier, verify: (jobs) => pause().then(() => verifier.verify(jobs)) };
}

export const simVerifier: Verifier = {
  engine: 'simulated',
  verify: (jobs) => Promise.resolve(jobs.map(isValid)),
  close: () => Promise.resolve(),
};
