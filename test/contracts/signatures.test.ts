import test from 'ava';
import { loadEngine } from '#native/engine.ts';
import { opensslVerifyAsync } from '#native/openssl.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import { asVerifier, makeFixtures, signerContract, verifierContract } from './signatures.ts';

const fixtures = makeFixtures();

for (const name of ['liboqs', 'openssl'] as const) {
  signerContract(test, name, fixtures);
  const direct = async () => {
    const engine = await loadEngine(name);
    return asVerifier(engine, (job) => engine.verify(job));
  };
  verifierContract(test, `${name}, direct`, direct, fixtures);
  for (const workers of [0, 2]) {
    const title = `${name}, pool of ${workers}`;
    verifierContract(test, title, () => createVerifierPool({ engine: name, workers }), fixtures);
  }
}

const onThreadPool = async () => asVerifier(await loadEngine('openssl'), opensslVerifyAsync);
verifierContract(test, 'openssl, asynchronous', onThreadPool, fixtures);
