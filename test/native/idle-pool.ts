/**
 * Run by `verifier-pool.test.ts`: must print the number of results and then end although the pool
 * stays open.
 */
import { createVerifierPool } from '#native/verifier-pool.ts';

const pool = await createVerifierPool({ engine: 'liboqs', workers: 2 });
const job = {
  publicKey: new Uint8Array(1952),
  message: new Uint8Array(1),
  signature: new Uint8Array(3309),
};
void pool
  .verify(Array.from({ length: 100 }, () => job))
  .then((results) => console.log(results.length));
