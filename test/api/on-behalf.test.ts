import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { withSignature } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import { newGenesisSchema } from '#node/schema.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { nextSecond } from '#test/support/next-second.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { startSingleNode } from '#test/support/single-node.ts';

/** A node that writes for a caller says so, and policies ask for both. */

const operator = seededActor('operator on behalf');
const member = seededActor('member on behalf');

async function start() {
  const net = netOf([seededActor('node on behalf')], [operator, member], 'b', newGenesisSchema());
  const node = await startSingleNode({ net });
  const url = await node.api.listen({ host: '127.0.0.1', port: 0 });
  // what was signed in the second of the start is refused
  await nextSecond();
  let seq = 0;
  const say = async ({ actor, coseKey, signer }: TestActor, kind: string, body: Body) => {
    const hlc = [Date.now(), 0] as const;
    const event = { chain: net.chain.id, actor, lane: 3, seq: (seq += 1), kind, body, hlc };
    const entry = await signEvent(event, signer);
    await node.core.submit(entry.bytes, coseKey);
    return node.core.waitFinal(entry.id, 60_000);
  };
  return { node, url, say };
}

test('a write names its caller, and is denied as an event of its own would be', async (t) => {
  const { node, url, say } = await start();
  t.teardown(() => node.close());
  const client = new Client(url, { auth: withSignature(member) });
  const put = (key: string) => client.putKv(key, Buffer.from('x'), 'text/plain', { isFinal: true });
  const { id } = await put('locked/a');
  t.like((await client.event(id)).event, {
    actor: node.net.validators[0]?.actor,
    onBehalfOf: member.actor,
  });
  const text = `forbid (principal == Actor::"${member.actor}", action in Action::"data",
    resource in KeyPrefix::"locked/");`;
  t.is((await say(operator, 'policy.put/1', { id: 'locked', text }))?.verdict, 0);
  t.is(codeOf(await t.throwsAsync(put('locked/a'))), 'policy_denied');
  t.is(codeOf(await t.throwsAsync(client.deleteKv('locked/a'))), 'policy_denied');
  t.is((await put('open/a')).state, 'final');
  const local = { authorization: `Bearer ${node.tokens.operator}` };
  const own = await node.inject({
    method: 'PUT', url: '/v1/kv/locked/a?wait=final', payload: 'y', headers: local,
  });
  t.is(own.statusCode, 200);
  const event = await client.event(own.json().id);
  t.false('onBehalfOf' in event.event);
});

test('nobody can be spoken for who is no member any more', async (t) => {
  const { node, say } = await start();
  t.teardown(() => node.close());
  const write = () =>
    node.core.author('kv.put/1', { key: 'k', value: new Uint8Array() }, true, member.actor);
  const before = await write();
  t.is((await node.core.waitFinal(before.id, 60_000))?.verdict, 0);
  const gone = { actor: Uint8Array.fromHex(member.actor), reason: 'gone' };
  t.is((await say(operator, 'member.remove/1', gone))?.verdict, 0);
  t.is(codeOf(await t.throwsAsync(write())), 'policy_denied');
});
