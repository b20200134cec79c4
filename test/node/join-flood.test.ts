import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { joinDesk } from '#node/membership/join-desk.ts';
import { encodeJoin } from '#node/membership/join-exchange.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { invite, joinBody, seededPeer } from '#test/support/invites.ts';
import type { TestInvite } from '#test/support/invites.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { HandFold, net, put } from '#test/ledger/fold-support.ts';

/** Who has no invite keeps out nobody who has one. */

const chain = net.chain.id;
const [operator] = net.operators as [TestActor];
const terms = { notAfter_ms: CREATED_MS + 1_000_000 };

async function requestOf(invited: TestInvite, who: TestActor, name: string): Promise<Uint8Array> {
  const body = (await joinBody(chain, invited, who, seededPeer(name))) as Body;
  const event = { chain, actor: who.actor, lane: 0, seq: 0, kind: 'member.join/1', body };
  const { bytes } = await signEvent({ ...event, hlc: [CREATED_MS, 0] }, who.signer);
  return encodeJoin({ chain, join: { entry: bytes, coseKey: who.coseKey } });
}

function desk() {
  const hand = new HandFold();
  const open = invite(chain, operator.actor, 'open', ['observer'], terms);
  const body = { ...open.body };
  hand.apply([[put(operator.actor, 900, '', { kind: 'member.invite/1', body })]]);
  const clock = new VirtualClock(CREATED_MS);
  let submitted = 0;
  const submit = () => {
    submitted += 1;
    return Promise.resolve() as never;
  };
  const rows = () => hand.fold.reducer.rowsOf('members');
  const handler = joinDesk(() => ({ chain: net.chain, rows, submit }), clock);
  const ask = (request: Uint8Array, name: string): Promise<string> =>
    handler(request, seededPeer(name).peer).then(() => 'ok', codeOf);
  return { ask, clock, open, submitted: () => submitted };
}

test('strangers use up their share of the work, not that of who is invited', async (t) => {
  const { ask, open, submitted } = desk();
  const stranger = seededActor('stranger');
  const none = invite(chain, operator.actor, 'none', ['observer'], terms);
  const flood = await requestOf(none, stranger, 'stranger');
  const answers = new Set<string>();
  for (let i = 0; i < 400; i++) answers.add(await ask(flood, 'stranger'));
  t.deepEqual([...answers], ['ok', 'join_busy']);
  t.true(submitted() < 150, `${submitted()}`);
  const honest = await requestOf(open, seededActor('honest'), 'honest');
  t.is(await ask(honest, 'honest'), 'ok');
});

test('one invite is presented ten times at once, then once a second', async (t) => {
  const { ask, clock, open } = desk();
  const request = await requestOf(open, seededActor('honest'), 'honest');
  for (let i = 0; i < 10; i++) t.is(await ask(request, 'honest'), 'ok', `${i}`);
  t.is(await ask(request, 'honest'), 'join_busy');
  await clock.run(1100);
  t.is(await ask(request, 'honest'), 'ok');
});
