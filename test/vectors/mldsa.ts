/** Reads Wycheproof's `MlDsaVerify` and `MlDsaSign` groups and holds the engines against them. */
import { createPrivateKey, createPublicKey, verify as cryptoVerify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { SignatureJob } from '#ledger/ports.ts';
import { PUBLIC_KEY_BYTES } from '#ledger/limits.ts';
import type { Engine } from '#native/engine.ts';
import { loadEngine } from '#native/engine.ts';

export interface Tally {
  readonly engine: string;
  readonly check: string;
  passed: number;
  readonly failures: string[];
  /** Reason to number of tests. */
  readonly skipped: Map<string, number>;
}

/**
 * The fields used of a test; texts are hex. A test with `mu` and no `msg` is for the internal
 * functions.
 */
interface VectorTest {
  readonly tcId: number;
  readonly comment: string;
  readonly msg?: string;
  readonly ctx?: string;
  readonly sig: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

interface VectorFile {
  readonly numberOfTests: number;
  readonly testGroups: readonly {
    /** Null where the seed has a wrong length. */
    readonly publicKey?: string | null;
    readonly privateSeed?: string;
    readonly tests: readonly VectorTest[];
  }[];
}

const NEEDS_CONTEXT = 'needs a context string';
const NEEDS_MU = 'gives only mu, for the internal functions, which no engine here offers';
const NO_KEY = 'has no usable key by design, so there is nothing to verify';
const NOT_VALID = 'is an invalid signing request, checked by its key or context alone';

/** Every test of the verify file on both engines. */
export async function runVerifyFile(name: string, file: VectorFile): Promise<Tally[]> {
  const liboqs = tally(await loadEngine('liboqs'), `${name}: verify`);
  const openssl = tally(await loadEngine('openssl'), `${name}: verify`);
  for (const { test, publicKey } of flat(file)) {
    checkVerify(liboqs, await loadEngine('liboqs'), test, publicKey ?? '');
    checkVerify(openssl, await loadEngine('openssl'), test, publicKey ?? '');
  }
  for (const each of [liboqs, openssl]) checkCount(each, file);
  return [liboqs, openssl];
}

/**
 * The sign file: OpenSSL derives the public key from the seed (or refuses a seed of a wrong
 * length); both engines verify the given signatures under it. Signing anew cannot give the same
 * bytes: both engines sign hedged only.
 */
export async function runSignFile(name: string, file: VectorFile): Promise<Tally[]> {
  const derive = tally(await loadEngine('openssl'), `${name}: seed to public key`);
  const tallies = [derive];
  for (const { test, publicKey, privateSeed } of flat(file)) {
    const derived = publicKeyOfSeed(privateSeed ?? '');
    const isRight = derived === publicKey;
    count(derive, test, isRight, `derived ${derived === undefined ? 'nothing' : 'another key'}`);
  }
  checkCount(derive, file);
  for (const engine of [await loadEngine('liboqs'), await loadEngine('openssl')]) {
    const verified = tally(engine, `${name}: verify the signature`);
    tallies.push(verified);
    for (const { test, publicKey } of flat(file)) {
      if (publicKey === undefined) skip(verified, NO_KEY);
      else if (test.result === 'invalid') skip(verified, NOT_VALID);
      else checkVerify(verified, engine, test, publicKey);
    }
    checkCount(verified, file);
  }
  return tallies;
}

function checkVerify(to: Tally, engine: Engine, test: VectorTest, publicKey: string): void {
  if (test.msg === undefined) {
    skip(to, NEEDS_MU);
    return;
  }
  const job = { publicKey: hex(publicKey), message: hex(test.msg), signature: hex(test.sig) };
  const context = hex(test.ctx ?? '');
  if (context.length > 0 && engine.engine.startsWith('liboqs')) {
    skip(to, NEEDS_CONTEXT);
    return;
  }
  const isValid = context.length === 0 ? engine.verify(job) : verifyWithContext(job, context);
  // Either answer is right for `acceptable`; Wycheproof has none of these for ML-DSA today.
  count(
    to,
    test,
    test.result === 'acceptable' || isValid === (test.result === 'valid'),
    `said ${isValid}`,
  );
}

/**
 * Straight to `node:crypto`: the product signs with an empty context only. Over 255 bytes OpenSSL
 * refuses.
 */
function verifyWithContext(job: SignatureJob, context: Uint8Array): boolean {
  if (job.publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const key = createPublicKey({
    key: Buffer.from(job.publicKey),
    format: 'raw-public',
    asymmetricKeyType: 'ml-dsa-65',
  });
  try {
    return cryptoVerify(null, job.message, { key, context }, job.signature);
  } catch {
    return false;
  }
}

/** Hex of the public key, or `undefined` where OpenSSL refuses the seed. */
function publicKeyOfSeed(seed: string): string | undefined {
  let key: KeyObject;
  try {
    key = createPrivateKey({
      key: Buffer.from(seed, 'hex'),
      format: 'raw-seed',
      asymmetricKeyType: 'ml-dsa-65',
    });
  } catch {
    return undefined;
  }
  return createPublicKey(key).export({ format: 'raw-public' }).toString('hex');
}

function flat(file: VectorFile) {
  return file.testGroups.flatMap(({ publicKey, privateSeed, tests }) =>
    tests.map((test) => ({ test, publicKey: publicKey ?? undefined, privateSeed })),
  );
}

function tally(engine: Engine, check: string): Tally {
  return { engine: engine.engine, check, passed: 0, failures: [], skipped: new Map() };
}

function count(to: Tally, test: VectorTest, isRight: boolean, otherwise: string): void {
  if (isRight) to.passed += 1;
  else to.failures.push(`test ${test.tcId} (${test.comment}, ${test.result}): ${otherwise}`);
}

function skip(to: Tally, reason: string): void {
  to.skipped.set(reason, (to.skipped.get(reason) ?? 0) + 1);
}

/** A file of another shape must not look like a pass. */
function checkCount(of: Tally, file: VectorFile): void {
  const skipped = [...of.skipped.values()].reduce((sum, each) => sum + each, 0);
  const seen = of.passed + of.failures.length + skipped;
  if (seen !== file.numberOfTests) of.failures.push(`saw ${seen} of ${file.numberOfTests} tests`);
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}
