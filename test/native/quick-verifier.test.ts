import test from 'ava';
import type { SignatureJob } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { quickVerifier } from '#native/quick-verifier.ts';

/** Few small batches are verified at once; more, or larger ones, by the pool. */

test('small batches are checked here while they are few, all others by the pool', async (t) => {
  const engine = await loadEngine('liboqs');
  const { publicKey, secretKey } = await generateKeyPair();
  const signer = engine.createSigner(secretKey, publicKey);
  const message = new Uint8Array(40).fill(1);
  const good: SignatureJob = { publicKey, message, signature: await signer.sign(message) };
  const bad: SignatureJob = { ...good, message: new Uint8Array(40) };
  const pooled: number[] = [];
  let now_ms = 0;
  const pool = {
    engine: engine.engine,
    verify: (jobs: readonly SignatureJob[]) => {
      pooled.push(jobs.length);
      return Promise.resolve(jobs.map((job) => engine.verify(job)));
    },
    close: () => Promise.resolve(),
  };
  const quick = quickVerifier(pool, engine, { monotonic_ms: () => now_ms });
  t.deepEqual(await quick.verify([good, bad]), [true, false]);
  t.deepEqual(await quick.verify([bad, good, good]), [false, true, true]);
  t.deepEqual(pooled, [3]);
  for (let i = 0; i < 19; i++) await quick.verify([good, good]);
  t.deepEqual(pooled, [3], 'the burst is 40');
  t.deepEqual(await quick.verify([bad]), [false]);
  t.deepEqual(pooled, [3, 1]);
  now_ms += 10;
  await quick.verify([good, good]);
  t.deepEqual(pooled, [3, 1], '200 a second come back');
  await quick.close();
  await quick.verify([good]);
  t.deepEqual(pooled, [3, 1, 1]);
});
