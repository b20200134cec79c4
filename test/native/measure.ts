/**
 * What signatures cost on this machine, in a few seconds: `node test/native/measure.ts`. The
 * figures in `docs/crypto.md` come from it. Rounds of the ways to verify alternate, so that a busy
 * moment hits all of them; the median counts.
 */
import type { SignatureJob, Verifier } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';

const ROUNDS = 5;
const SIGNATURES = 100;
const JOBS = 1500;

const pair = await generateKeyPair();
for (const name of ['liboqs', 'openssl'] as const) {
  const engine = await loadEngine(name);
  const signer = engine.createSigner(pair.secretKey, pair.publicKey);
  const message = new Uint8Array(250);
  const job = { publicKey: pair.publicKey, message, signature: await signer.sign(message) };
  const jobs = Array.from({ length: JOBS }, (): SignatureJob => job);
  const none = await createVerifierPool({ engine: name, workers: 0 });
  const two = await createVerifierPool({ engine: name, workers: 2 });
  const ways: Record<string, () => Promise<number>> = {
    'sign, one at a time': () =>
      perSecond(SIGNATURES, async () => {
        for (let index = 0; index < SIGNATURES; index += 1) await signer.sign(message);
      }),
    'verify, direct': () =>
      perSecond(JOBS, async () => {
        for (const each of jobs) engine.verify(each);
      }),
    'verify, pool of 0': () => perSecond(JOBS, () => none.verify(jobs)),
    'verify, pool of 2': () => perSecond(JOBS, () => two.verify(jobs)),
    'verify, pool of 2, one job at a time': () => perSecond(100, () => oneByOne(two, job)),
  };
  const rates = Object.keys(ways).map((): number[] => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, measure] of Object.values(ways).entries())
      rates[index]?.push(await measure());
  }
  console.log(engine.engine);
  for (const [index, way] of Object.keys(ways).entries()) {
    const sorted = (rates[index] ?? []).toSorted((a, b) => a - b);
    const [low, median, high] = [0, ROUNDS >> 1, ROUNDS - 1].map((at) =>
      Math.round(sorted[at] ?? 0),
    );
    console.log(`  ${way.padEnd(38)} ${median}/s (${low} to ${high})`);
  }
  await Promise.all([none.close(), two.close()]);
}

async function oneByOne(verifier: Verifier, job: SignatureJob): Promise<void> {
  for (let index = 0; index < 100; index += 1) await verifier.verify([job]);
}

async function perSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  const started_ms = performance.now();
  await work();
  return (count * 1000) / (performance.now() - started_ms);
}
