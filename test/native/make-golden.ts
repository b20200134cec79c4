/**
 * Writes `golden.json` anew: `node test/native/make-golden.ts`. Only needed when the stored form
 * changes.
 */
import { writeFile } from 'node:fs/promises';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { encodeSecretKey } from '#native/secret-key.ts';

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const { publicKey, secretKey } = await generateKeyPair();
const message = Buffer.from('x0tta6bl4 golden vector: ML-DSA-65, pure, empty context');
const signatures: Record<string, string> = {};
const engines: string[] = [];
for (const name of ['liboqs', 'openssl'] as const) {
  const signer = (await loadEngine(name)).createSigner(secretKey, publicKey);
  signatures[name] = base64(await signer.sign(message));
  engines.push(signer.engine);
}
const golden = {
  comment: 'A throw-away ML-DSA-65 key pair for tests, signed with by each engine; guards nothing.',
  engines,
  publicKey: base64(publicKey),
  privateKeyPkcs8: base64(encodeSecretKey(secretKey)),
  message: base64(message),
  signatures,
};
await writeFile(new URL('./golden.json', import.meta.url), `${JSON.stringify(golden, null, 2)}\n`);
