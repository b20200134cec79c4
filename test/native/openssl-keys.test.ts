import test from 'ava';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';

test('more keys than are kept do not mix up answers', async (t) => {
  const engine = await loadEngine('openssl');
  const { publicKey, secretKey } = await generateKeyPair();
  const signer = engine.createSigner(secretKey, publicKey);
  const message = new Uint8Array(10);
  const job = { publicKey, message, signature: await signer.sign(message) };
  for (let round = 0; round < 2; round += 1) {
    t.true(engine.verify(job));
    // All share the first half with the right key: what keeps keys apart must look at every byte.
    for (let index = 0; index < 600; index += 1) {
      const other = Uint8Array.from(publicKey);
      const at = 976 + index;
      other[at] = (other[at] ?? 0) ^ (1 + round);
      t.false(engine.verify({ ...job, publicKey: other }));
    }
    t.true(engine.verify(job));
  }
});
