/**
 * The contract of `Signer` and `Verifier` (`ledger/ports.ts`): one suite for every engine and every
 * way to run it. Fixtures are signed by every engine, so that each verifier also proves that it
 * understands the others.
 */
import type { ExecutionContext, TestFn } from 'ava';
import type { SignatureJob, Verifier } from '#ledger/ports.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { ClosableSigner, Engine, EngineName, KeyPair } from '#native/engine.ts';
import { MESSAGE_BYTES_MAX, loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';

const ENGINES: readonly EngineName[] = ['liboqs', 'openssl'];

interface Fixtures {
  readonly pair: KeyPair;
  readonly otherPublicKey: Uint8Array;
  /** Valid jobs signed by every engine in turn. */
  readonly jobs: readonly SignatureJob[];
}

export async function makeFixtures(): Promise<Fixtures> {
  const pair = await generateKeyPair();
  const jobs: SignatureJob[] = [];
  for (const name of ENGINES) {
    const signer = (await loadEngine(name)).createSigner(pair.secretKey, pair.publicKey);
    for (const bytes of [0, 1, 250, 70_000]) {
      const message = new Uint8Array(bytes).fill(bytes % 251);
      jobs.push({ publicKey: signer.publicKey, message, signature: await signer.sign(message) });
    }
    signer.close();
  }
  return { pair, otherPublicKey: (await generateKeyPair()).publicKey, jobs };
}

/** Jobs that must be invalid, each made from a valid one, with what is wrong about it. */
function invalidVariants(job: SignatureJob, otherPublicKey: Uint8Array): [string, SignatureJob][] {
  const { publicKey, message, signature } = job;
  const none = new Uint8Array(0);
  const variants: [string, SignatureJob][] = [
    ['another message', { ...job, message: longer(message) }],
    ['another key', { ...job, publicKey: otherPublicKey }],
    ['a zero key', { ...job, publicKey: new Uint8Array(PUBLIC_KEY_BYTES) }],
    ['a zero signature', { ...job, signature: new Uint8Array(SIGNATURE_BYTES) }],
    ['a signature of ones', { ...job, signature: new Uint8Array(SIGNATURE_BYTES).fill(255) }],
    ['a short signature', { ...job, signature: signature.subarray(1) }],
    ['a long signature', { ...job, signature: longer(signature) }],
    ['no signature', { ...job, signature: none }],
    ['a short key', { ...job, publicKey: publicKey.subarray(0, -1) }],
    ['a long key', { ...job, publicKey: longer(publicKey) }],
    ['no key', { ...job, publicKey: none }],
    ['nothing at all', { publicKey: none, message: none, signature: none }],
    ['a message over the limit', { ...job, message: new Uint8Array(MESSAGE_BYTES_MAX + 1) }],
  ];
  // Every part of the signature: challenge, responses, hints, and the end of the hint counts.
  for (const at of [0, 47, 48, 1000, 3247, 3248, SIGNATURE_BYTES - 1]) {
    variants.push([`signature bit ${at * 8}`, tampered(job, at)]);
  }
  for (const at of [0, 31, 32, PUBLIC_KEY_BYTES - 1]) {
    variants.push([`key bit ${at * 8}`, { ...job, publicKey: flipped(publicKey, at) }]);
  }
  if (message.length > 0)
    variants.push(['message bit 0', { ...job, message: flipped(message, 0) }]);
  return variants;
}

/** The same job as Buffers and as views into the middle of larger buffers. */
function otherViews(job: SignatureJob): SignatureJob[] {
  const as = (change: (bytes: Uint8Array) => Uint8Array): SignatureJob => ({
    publicKey: change(job.publicKey),
    message: change(job.message),
    signature: change(job.signature),
  });
  return [
    as((bytes) => Buffer.from(bytes)),
    as(view),
    as((bytes) => Buffer.from(view(bytes)).subarray(0)),
  ];
}

/** Checks of a signer of `engine`; every engine verifies what it makes. */
export function signerContract(test: TestFn, name: EngineName, fixtures: Promise<Fixtures>): void {
  const withSigner = async (use: (signer: ClosableSigner, pair: KeyPair) => Promise<void>) => {
    const { pair } = await fixtures;
    const signer = (await loadEngine(name)).createSigner(pair.secretKey, pair.publicKey);
    await use(signer, pair).finally(() => signer.close());
  };

  test(`${name}: signs what every engine verifies, at the raw length`, async (t) => {
    await withSigner(async (signer, pair) => {
      t.deepEqual(signer.publicKey, pair.publicKey);
      const message = Buffer.from('a message in a Buffer');
      const signature = await signer.sign(message);
      t.is(signature.length, SIGNATURE_BYTES);
      for (const other of ENGINES) {
        t.true(
          (await loadEngine(other)).verify({ publicKey: pair.publicKey, message, signature }),
          other,
        );
      }
    });
  });

  test(`${name}: two signatures of one message differ`, async (t) => {
    await withSigner(async (signer) => {
      const message = new Uint8Array(32);
      const [first, second] = [await signer.sign(message), await signer.sign(message)];
      t.notDeepEqual(first, second);
    });
  });

  test(`${name}: a signer keeps its own copy of the key, and none after close`, async (t) => {
    const { pair } = await fixtures;
    const secretKey = Uint8Array.from(pair.secretKey);
    const engine = await loadEngine(name);
    const signer = engine.createSigner(secretKey, pair.publicKey);
    secretKey.fill(0);
    const message = new Uint8Array(9);
    const signature = await signer.sign(message);
    t.true(engine.verify({ publicKey: pair.publicKey, message, signature }));
    signer.close();
    signer.close();
    await t.throwsAsync(signer.sign(message), { code: 'engine_closed' });
  });

  test(`${name}: refuses a foreign pair, a wrong length, a message over the limit`, async (t) => {
    const { pair, otherPublicKey } = await fixtures;
    const engine = await loadEngine(name);
    t.throws(() => engine.createSigner(pair.secretKey, otherPublicKey), {
      code: 'key_pair_mismatch',
    });
    t.throws(() => engine.createSigner(pair.secretKey.subarray(1), pair.publicKey), {
      code: 'secret_key_malformed',
    });
    await withSigner(async (signer) => {
      const message = new Uint8Array(MESSAGE_BYTES_MAX + 1);
      await t.throwsAsync(signer.sign(message), { code: 'message_too_long' });
      t.is((await signer.sign(message.subarray(1))).length, SIGNATURE_BYTES);
    });
  });
}

/** Checks of anything that verifies; `open` gives a fresh one. */
export function verifierContract(
  test: TestFn,
  title: string,
  open: () => Promise<Verifier>,
  fixtures: Promise<Fixtures>,
): void {
  const claim = (
    text: string,
    body: (t: ExecutionContext, verifier: Verifier) => Promise<void>,
  ) => {
    test(`${title}: ${text}`, async (t) => {
      const verifier = await open();
      try {
        await body(t, verifier);
      } finally {
        await verifier.close();
      }
    });
  };

  claim('accepts what any engine signed, as any kind of view', async (t, verifier) => {
    const { jobs } = await fixtures;
    t.true(verifier.engine.length > 0);
    const views = [...jobs, ...jobs.flatMap((job) => otherViews(job))];
    t.deepEqual(
      await verifier.verify(views),
      views.map(() => true),
    );
  });

  claim('finds every wrong job invalid and throws on none', async (t, verifier) => {
    const { jobs, otherPublicKey } = await fixtures;
    for (const job of jobs) {
      const wrong = invalidVariants(job, otherPublicKey);
      const results = await verifier.verify(wrong.map(([, variant]) => variant));
      t.deepEqual(
        wrong.filter((_, index) => results[index] !== false).map(([what]) => what),
        [],
      );
      t.is(results.length, wrong.length);
    }
  });

  claim('answers an empty batch', async (t, verifier) => {
    t.deepEqual(await verifier.verify([]), []);
  });

  claim(
    'keeps the order of thousands of mixed jobs, in batches side by side',
    async (t, verifier) => {
      const { jobs } = await fixtures;
      const expected: boolean[] = [];
      const mixed = Array.from({ length: 2000 }, (_, index): SignatureJob => {
        const job = jobs[index % 3];
        if (job === undefined) throw new Error('fixtures are missing');
        // A pattern without a short period, so that results of another place are noticed.
        const isValid = (index * index) % 7 < 3;
        expected.push(isValid);
        return isValid ? job : tampered(job, index % SIGNATURE_BYTES);
      });
      const cuts = [0, 1, 4, 1500, 1517, 2000];
      const results = await Promise.all(
        cuts.map((cut, index) => verifier.verify(mixed.slice(cuts[index - 1] ?? 0, cut))),
      );
      t.deepEqual(results.flat(), expected);
    },
  );

  claim('does not look at later changes of the array', async (t, verifier) => {
    const { jobs } = await fixtures;
    const array = [...jobs];
    const answer = verifier.verify(array);
    array.length = 0;
    t.is((await answer).length, jobs.length);
  });

  claim(
    'close rejects what is under way and what comes later, and may be repeated',
    async (t, verifier) => {
      const { jobs } = await fixtures;
      const underWay = verifier.verify(
        Array.from({ length: 200 }, (_, index) => jobs[index % 2]).filter(isJob),
      );
      const rejected = t.throwsAsync(underWay, { code: 'engine_closed' });
      await Promise.all([verifier.close(), verifier.close()]);
      await rejected;
      await t.throwsAsync(verifier.verify(jobs), { code: 'engine_closed' });
      await t.throwsAsync(verifier.verify([]), { code: 'engine_closed' });
    },
  );
}

/** An engine in the calling thread as a `Verifier`, so that the same claims are made of it. */
export function asVerifier(
  engine: Engine,
  one: (job: SignatureJob) => boolean | Promise<boolean>,
): Verifier {
  let isClosed = false;
  return {
    engine: engine.engine,
    async verify(jobs) {
      if (isClosed) throw closed();
      const results = await Promise.all([...jobs].map(async (job) => one(job)));
      if (isClosed) throw closed();
      return results;
    },
    async close() {
      isClosed = true;
    },
  };
}

function closed(): Error {
  return Object.assign(new Error('closed'), { code: 'engine_closed' });
}

function longer(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes, 0]);
}

/** The same bytes as a view into the middle of a larger buffer. */
function view(bytes: Uint8Array): Uint8Array {
  const larger = new Uint8Array(bytes.length + 14).fill(7);
  larger.set(bytes, 7);
  return larger.subarray(7, 7 + bytes.length);
}

function tampered(job: SignatureJob, at: number): SignatureJob {
  return { ...job, signature: flipped(job.signature, at) };
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function isJob(job: SignatureJob | undefined): job is SignatureJob {
  return job !== undefined;
}
