import test from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { EventIntake } from '#ledger/event-intake.ts';
import type { Submissions } from '#ledger/submissions.ts';
import { VerifiedEntries } from '#ledger/verified.ts';

/** What is held against a peer that sends events, and what is not. */

async function outcome(code: string): Promise<[verdict: string, penalties: readonly string[]]> {
  const penalties: string[] = [];
  const refuse: Pick<Submissions, 'submit' | 'refused'> = {
    submit: () => Promise.reject(new X0tError(code, 'refused')),
    refused: () => undefined,
  };
  const network = {
    peers: () => [{ peer: 'peer', actor: 'a', rtt_ms: undefined }],
    penalise: (_: string, one: string) => void penalties.push(one),
  };
  const intake = new EventIntake(refuse as Submissions, new VerifiedEntries(), network);
  const item = { entry: new Uint8Array(1), coseKey: new Uint8Array(1) };
  return [await intake.take([item], false, 'peer'), penalties];
}

test('a forged event is held against its sender, a failure of this node is not', async (t) => {
  t.deepEqual(await outcome('bad_event_signature'), ['reject', ['bad_event_signature']]);
  for (const code of ['engine_failed', 'engine_closed', 'store_failed', 'stopping', 'pool_full']) {
    t.deepEqual(await outcome(code), ['ignore', []], code);
  }
});

test('what policies deny here may have been permitted where it comes from', async (t) => {
  for (const code of ['policy_denied', 'policy_lockout', 'policy_invalid', 'policy_conflict']) {
    t.deepEqual(await outcome(code), ['ignore', []], code);
  }
});
