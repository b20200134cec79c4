import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { keyId } from '#ledger/cose.ts';
import { codeOf } from '#ledger/errors.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { ROTATE_KIND, rotateBody } from '#ledger/rotation.ts';
import { withSignature } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import { newGenesisSchema } from '#node/schema.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { nextSecond } from '#test/support/next-second.ts';
import { freshKey } from '#test/support/rotations.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { startSingleNode } from '#test/support/single-node.ts';
import { watchStalls } from '#test/support/stalls.ts';

/** What becomes final about a caller counts at once, also for answers that are under way. */

const first = seededActor('first of callers');
const second = seededActor('second of callers');
/** From the final event to the end of what it takes away. */
const AT_ONCE_MS = 1000;

interface Bench {
  readonly url: string;
  /** Makes an event final; resolves with the moment in which it was. */
  readonly say: (by: TestActor, kind: string, body: Body) => Promise<number>;
  readonly chain: string;
}

let seq = 0;

async function bench(t: ExecutionContext): Promise<Bench> {
  const seats = [seededActor('node of callers')];
  const net = netOf(seats, [first, second], t.title.slice(0, 60), newGenesisSchema());
  const node = await startSingleNode({ net });
  t.teardown(() => node.close());
  const chain = net.chain.id;
  const url = await node.api.listen({ host: '127.0.0.1', port: 0 });
  // what was signed in the second of the start is refused
  await nextSecond();
  const say = async ({ actor, coseKey, signer }: TestActor, kind: string, body: Body) => {
    const hlc = [Date.now(), 0] as const;
    const event = { chain, actor, lane: 3, seq: (seq += 1), kind, body, hlc };
    const entry = await signEvent(event, signer);
    let final_ms = 0;
    const end = node.core.onFinal(() => (final_ms ||= performance.now()));
    await node.core.submit(entry.bytes, coseKey);
    const final = await node.core.waitFinal(entry.id, 60_000);
    end();
    t.is(final?.verdict, 0);
    return final_ms;
  };
  return { url, say, chain };
}

/** Follows the log as an actor; resolves with the code of the end and its moment. */
async function untilEnded(client: Client): Promise<{ code: string; at_ms: number }> {
  try {
    for await (const event of client.follow(undefined)) event satisfies object;
    return { code: 'ended', at_ms: performance.now() };
  } catch (error) {
    return { code: codeOf(error), at_ms: performance.now() };
  }
}

test('a member that is removed loses its stream and its next request', async (t) => {
  const { url, say } = await bench(t);
  const stalls = watchStalls(t);
  const client = new Client(url, { auth: withSignature(second) });
  t.is((await client.status()).role, 'validator');
  const ended = untilEnded(client);
  await sleep(200);
  const about = { actor: Uint8Array.fromHex(second.actor), reason: 'gone' };
  const final_ms = await say(first, 'member.remove/1', about);
  const { code, at_ms } = await ended;
  t.is(code, 'actor_unknown');
  const took_ms = at_ms - final_ms - stalls.since(final_ms);
  t.true(took_ms < AT_ONCE_MS, `${took_ms} ms`);
  t.log(`the stream ended ${took_ms.toFixed(1)} ms after the removal was final`);
  t.is(codeOf(await t.throwsAsync(client.status())), 'actor_unknown');
  await new Client(url, { auth: withSignature(first) }).status();
});

test('an old key of a member ends, its new one signs for the same actor', async (t) => {
  const { url, say, chain } = await bench(t);
  const old = new Client(url, { auth: withSignature(second) });
  const ended = untilEnded(old);
  await sleep(200);
  const fresh = freshKey('of a caller');
  const about = { chain, actor: second.actor, key: keyId(second.coseKey) };
  await say(second, ROTATE_KIND, await rotateBody(about, fresh));
  t.is((await ended).code, 'actor_unknown');
  t.is(codeOf(await t.throwsAsync(old.status())), 'actor_unknown');
  const unnamed = { ...fresh, actor: keyId(fresh.coseKey) };
  const nameless = new Client(url, { auth: withSignature(unnamed) });
  t.is(codeOf(await t.throwsAsync(nameless.status())), 'actor_unknown');
  const renewed = new Client(url, { auth: withSignature({ ...fresh, actor: second.actor }) });
  await renewed.status();
  const text = `forbid (principal == Actor::"${second.actor}", action, resource);`;
  await say(first, 'policy.put/1', { id: 'other', text });
  t.is(codeOf(await t.throwsAsync(renewed.status())), 'policy_denied', 'the same actor');
});
