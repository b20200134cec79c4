import test from 'ava';
import { codeOf, fail } from '#ledger/errors.ts';
import { VerificationWork } from '#node/auth/verification-work.ts';

/** What fails is charged to where it came from. */

const HERE = '192.0.2.1';
const holds = async (): Promise<string> => 'holds';
const forged = async (): Promise<string> => fail('signature_wrong', 'forged');

test('who has proved itself is not refused for what others fail in its name', async (t) => {
  const clock = { monotonic_ms: () => 0 };
  const work = new VerificationWork({ perSecond: 1, burst: 5 }, clock);
  const run = (name: string, verify: () => Promise<string>) =>
    work.run(HERE, name, verify).catch(codeOf);
  t.is(await run('member', holds), 'holds');
  for (let i = 0; i < 20; i++) t.is(await run('member', forged), 'signature_wrong');
  t.is(await run('member', holds), 'holds');
  t.is(await run('other', holds), 'rate_limited', 'the failures are those of the address');
  t.is(await work.run('192.0.2.2', 'other', holds), 'holds');
});
