import test from 'ava';
import { bytesOf } from '#ledger/ids.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import type { Node } from '#node/node.ts';
import { MemberNet, until } from '#test/support/member-net.ts';
import { watchStalls } from '#test/support/stalls.ts';

/** What is final takes effect at once, on real links and at the real API. */

const CUT_MS_MAX = 1_000;

/** Writes on and on until it is told to end. */
function traffic({ core }: Node): () => Promise<void> {
  const load = { isOver: false };
  const run = async (): Promise<void> => {
    for (let n = 0; !load.isOver; n += 1) {
      const body = { key: `t/${n}`, value: new Uint8Array(64) };
      const entry = await core.author('kv.put/1', body, false);
      await core.waitFinal(entry.id, 5_000);
    }
  };
  const running = run();
  return async () => {
    load.isOver = true;
    await running;
  };
}

test('a blocked member is cut off within a second, told why, and let in after', async (t) => {
  t.timeout(300_000);
  const net = await MemberNet.start(2);
  t.teardown(() => net.stop());
  const { actor } = net.member.status();
  const quiet = traffic(net.first);
  const stalls = watchStalls(t);
  t.true(net.isLinked);
  const until_ms = Date.now() + 15_000;
  const order = { actor: bytesOf(actor), reason: 'a drill', until_ms, by: 'operator' };
  const blocked = await net.operate('posture.isolate/1', { ...order, grade: 'blocked' });
  t.is(blocked.verdict, 0);
  await until(() => net.isCutOff, 'the cut');
  const cut_ms = performance.now() - blocked.told_ms - stalls.since(blocked.told_ms);
  t.true(cut_ms < CUT_MS_MAX, `${cut_ms} ms`);
  t.log(`cut off ${cut_ms.toFixed(1)} ms after it was final`);
  t.true(net.validators.some(({ network }) => {
    return (network.status().counters.disconnects_total['access'] ?? 0) > 0;
  }));
  // it dials again, is refused with the reason, and says so
  await until(() => {
    return net.member.network.status().missing.some((one) => one.lastReason === 'actor_isolated');
  }, 'the refusal');
  t.true(net.member.status().alarms.some(({ code }) => code === 'node_isolated'));
  t.true(net.isCutOff);
  const list = await net.get('/v1/posture');
  const { members } = (await list.json()) as { members: { actor: string; grade: string }[] };
  t.like(members, [{ actor, grade: 'blocked' }]);
  await quiet();
  await until(() => net.isLinked, 'the end of the isolation');
  t.true(Date.now() >= until_ms, 'not before its time');
  const metrics = await (await net.get('/metrics')).text();
  t.regex(metrics, /x0t_posture_members\{grade="none"\} 1/);
});

test('a change of policy refuses the next request of an open connection', async (t) => {
  t.timeout(300_000);
  const net = await MemberNet.start(1);
  t.teardown(() => net.stop());
  const read = async (): Promise<number> => (await net.get('/v1/members')).status;
  t.is(await read(), 200);
  const stalls = watchStalls(t);
  const text = 'forbid (principal, action == Action::"api.chain.read", resource);';
  const { told_ms, verdict } = await net.operate('policy.put/1', { id: 'cut', text });
  t.is(verdict, 0);
  t.is(await read(), 403);
  t.true(performance.now() - told_ms - stalls.since(told_ms) < CUT_MS_MAX);
});

test('a restricted member stays linked without gossip, and its events are denied', async (t) => {
  t.timeout(300_000);
  const net = await MemberNet.start(1);
  t.teardown(() => net.stop());
  const { actor } = net.member.status();
  const order = { actor: bytesOf(actor), reason: 'a drill', by: 'operator' };
  const until_ms = Date.now() + 600_000;
  await net.operate('posture.isolate/1', { ...order, grade: 'restricted', until_ms });
  const peer = () => net.first.network.status().peers[0];
  await until(() => peer()?.share === 0.1, 'its share');
  t.deepEqual([peer()?.actor, peer()?.gossips], [actor, false]);
  t.true(net.isLinked);
  // its store still follows, by requests
  const final = await net.operate('kv.put/1', { key: 'a', value: new Uint8Array(1) });
  await until(() => net.member.core.replica.fold.size >= final.seq, 'it follows');
  const alarm = net.member.status().alarms.find(({ code }) => code === 'node_isolated');
  t.regex(alarm?.message ?? '', /restricted until .* by operator, a drill/);
  await t.throwsAsync(
    net.member.core.author('kv.put/1', { key: 'b', value: new Uint8Array(1) }, true),
    { code: 'policy_denied' },
  );
});

test('a quorum goes on with a quarantined validator where it needs its blocks', async (t) => {
  t.timeout(300_000);
  const net = await MemberNet.start(4);
  t.teardown(() => net.stop());
  const [first, second, third, fourth] = net.validators as [Node, Node, Node, Node];
  const order = { reason: 'a drill', by: 'operator', until_ms: Date.now() + 600_000 };
  const quarantine = (node: Node, grade = 'quarantined') =>
    net.operate('posture.isolate/1', { ...order, grade, actor: bytesOf(node.status().actor) });
  t.is((await quarantine(fourth)).verdict, 0);
  const seen = () => {
    return first.network.status().peers.find(({ peer }) => peer === fourth.network.self);
  };
  await until(() => seen()?.share === 0.05, 'its share');
  t.false(seen()?.gossips);
  // no committee of four spares two
  t.is((await quarantine(second)).verdict, VERDICTS.posture_quorum);
  t.is((await quarantine(second, 'blocked')).verdict, VERDICTS.posture_quorum);
  // three of four, and one of them speaks when it is asked only
  await third.stop();
  let last = 0;
  for (let n = 0; n < 3; n += 1) {
    const written = await net.operate('kv.put/1', { key: `k${n}`, value: new Uint8Array(1) });
    t.is(written.verdict, 0);
    last = written.seq;
  }
  // what nodes report of each other may come after it
  const { size } = first.core.replica.fold;
  const others = [second, fourth].map(({ core }) => core.replica);
  await until(() => others.every(({ fold }) => fold.size >= size), 'all of them follow');
  t.true(size >= last);
});
