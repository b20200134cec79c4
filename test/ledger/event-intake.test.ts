import test from 'ava';
import { StateRefusal, X0tError } from '#ledger/errors.ts';
import { EventIntake } from '#ledger/event-intake.ts';
import type { Submissions } from '#ledger/submissions.ts';
import { VerifiedEntries } from '#ledger/verified.ts';
import { invite, joinBody } from '#test/support/invites.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { signedEvent, startSingleNode } from '#test/support/single-node.ts';

/** What is held against a peer that sends events, and what is not. */

type Outcome = [verdict: string, penalties: readonly string[]];

async function outcome(error: Error): Promise<Outcome> {
  const penalties: string[] = [];
  const refuse: Pick<Submissions, 'submit' | 'refused'> = {
    submit: async () => {
      throw error;
    },
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

const refused = (code: string): X0tError => new X0tError(code, 'refused');

test('a forged event is held against its sender, a failure of this node is not', async (t) => {
  const forged: Outcome = ['reject', ['bad_event_signature']];
  t.deepEqual(await outcome(refused('bad_event_signature')), forged);
  t.deepEqual(await outcome(refused('bad_body')), ['reject', ['bad_body']]);
  for (const code of ['engine_failed', 'engine_closed', 'store_failed', 'stopping', 'pool_full']) {
    t.deepEqual(await outcome(refused(code)), ['ignore', []], code);
  }
  t.deepEqual(await outcome(new TypeError('a defect')), ['ignore', []]);
});

test('what this state refuses may have been taken where it comes from', async (t) => {
  for (const code of ['policy_denied', 'policy_invalid', 'member_known', 'bad_body', 'anything']) {
    const refusal = StateRefusal.of(refused(code)) as Error;
    t.deepEqual(await outcome(refusal), ['ignore', []], code);
  }
});

test('who passes on what another member made up pays nothing for it', async (t) => {
  const node = await startSingleNode();
  t.teardown(() => node.close());
  const { chain } = node.net;
  const { operator: member } = node;
  const invited = invite(chain.id, member.actor, 'made up', ['observer']);
  const stranger = seededActor('stranger');
  // the inner signature holds; key and actor do not belong together
  const own = await joinBody(chain.id, invited, member, undefined);
  const bad = [
    { kind: 'member.join/1', body: { ...own, key: stranger.coseKey } },
    { kind: 'member.join/1', body: own },
    { kind: 'policy.schema/1', body: { text: 'entity A {' } },
    { kind: 'member.uncordon/1', body: { actor: Uint8Array.fromHex(stranger.actor) } },
  ];
  const penalties: string[] = [];
  const network = {
    peers: () => [{ peer: 'peer', actor: 'a', rtt_ms: undefined }],
    penalise: (_: string, one: string) => void penalties.push(one),
  };
  const { submissions } = node.core;
  const intake = new EventIntake(submissions, new VerifiedEntries(), network);
  for (const [seq, { kind, body }] of bad.entries()) {
    const { bytes: entry } = await signedEvent(node, seq, { kind, body });
    const item = { entry, coseKey: member.coseKey };
    t.is(await intake.take([item], false, 'peer'), 'ignore', kind);
  }
  t.deepEqual(penalties, []);
  const refusals = [...submissions.counters.refused.values()];
  t.is(refusals.reduce((sum, one) => sum + one, 0), bad.length);
});
