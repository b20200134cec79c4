import { readFile } from 'node:fs/promises';
import test from 'ava';
import { loadEngine } from '#native/engine.ts';
import { decodeSecretKey, encodeSecretKey } from '#native/secret-key.ts';

/** Made once by `test/native/make-golden.ts`; a throw-away key pair that guards nothing. */
const golden = JSON.parse(await readFile(new URL('./golden.json', import.meta.url), 'utf8'));
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const publicKey = bytes(golden.publicKey);
const message = bytes(golden.message);

for (const name of ['liboqs', 'openssl'] as const) {
  test(`${name} verifies the stored signature of each engine`, async (t) => {
    const engine = await loadEngine(name);
    for (const maker of ['liboqs', 'openssl']) {
      const signature = bytes(golden.signatures[maker]);
      t.true(engine.verify({ publicKey, message, signature }), maker);
      t.false(engine.verify({ publicKey, message: message.subarray(1), signature }), maker);
    }
  });

  test(`${name} loads the stored private key and signs with it`, async (t) => {
    const engine = await loadEngine(name);
    const signer = engine.createSigner(decodeSecretKey(bytes(golden.privateKeyPkcs8)), publicKey);
    t.true(engine.verify({ publicKey, message, signature: await signer.sign(message) }));
  });
}

test('the stored form of the private key round-trips and nothing else is taken for it', (t) => {
  const der = bytes(golden.privateKeyPkcs8);
  t.is(der.length, 4060);
  t.deepEqual(encodeSecretKey(decodeSecretKey(der)), der);
  const otherAlgorithm = Uint8Array.from(der);
  otherAlgorithm[17] = 0x11;
  for (const wrong of [new Uint8Array(0), der.subarray(1), der.subarray(0, -1), otherAlgorithm]) {
    t.throws(() => decodeSecretKey(wrong), { code: 'secret_key_malformed' });
  }
  t.throws(() => encodeSecretKey(new Uint8Array(32)), { code: 'secret_key_malformed' });
});
