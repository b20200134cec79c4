import test from 'ava';
import { codeOf, fail } from '#ledger/errors.ts';
import { VerificationWork } from '#node/auth/verification-work.ts';
import type { ProofKind } from '#node/auth/verification-work.ts';

/** What fails is charged to where it came from, and keeps nobody out who has not tried. */

const HERE = '192.0.2.1';
const holds = async (): Promise<string> => 'holds';
const forged = async (): Promise<string> => fail('signature_wrong', 'forged');

interface Bench {
  now_ms: number;
  readonly run: (
    name: string,
    verify: () => Promise<string>,
    kind?: ProofKind,
    address?: string,
  ) => Promise<string>;
}

function bench(max?: number): Bench {
  const work = new VerificationWork(
    { perSecond: 1, burst: 5 },
    { monotonic_ms: () => one.now_ms },
    max,
  );
  const one: Bench = {
    now_ms: 0,
    run: (name, verify, kind = 'jwt', address = HERE) =>
      work.run({ address, kind, name }, verify).catch(codeOf),
  };
  return one;
}

test('who has proved itself is not refused for what others fail in its name', async (t) => {
  const { run } = bench();
  t.is(await run('member', holds), 'holds');
  for (let i = 0; i < 2000; i++) t.is(await run('member', forged), 'signature_wrong');
  t.is(await run('member', holds), 'holds');
});

test('bad proofs of others at an address keep no newcomer out', async (t) => {
  const { run } = bench();
  for (let i = 0; i < 50; i++) t.is(await run('somebody', forged), 'signature_wrong');
  t.is(await run('newcomer', holds), 'holds');
  for (let i = 0; i < 200; i++) await run('somebody', forged);
  t.is(await run('somebody', forged), 'rate_limited', 'in one name');
  for (let i = 0; i < 2000; i++) await run(`name ${i}`, forged);
  t.is(await run('another', forged), 'rate_limited', 'in any name');
  t.is(await run('member', holds, 'signature'), 'holds', 'another kind of proof');
  t.is(await run('workload', holds, 'x509'), 'holds');
  t.is(await run('newcomer', holds), 'holds', 'is known by now');
  t.is(await run('another', holds, 'jwt', '192.0.2.2'), 'holds', 'from elsewhere');
});

test('there is room again after a second, and a little work at once', async (t) => {
  const one = bench(4);
  for (let i = 0; i < 2000; i++) await one.run(`name ${i}`, forged);
  t.is(await one.run('another', holds), 'rate_limited');
  one.now_ms += 1000;
  const release = Promise.withResolvers<string>();
  const waiting = Array.from({ length: 60 }, (_, i) => one.run(`late ${i}`, () => release.promise));
  t.is(await one.run('one too many', holds), 'overloaded');
  t.is(await one.run('from elsewhere', holds, 'jwt', '192.0.2.2'), 'holds');
  release.resolve('holds');
  const found = await Promise.all(waiting);
  t.true(found.filter((code) => code === 'holds').length <= 4 + 8, found.join(' '));
  t.is(await one.run('one too many', holds), 'holds');
});
