import test from 'ava';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { newGenesisSchema } from '#node/schema.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { SimNode } from '#test/support/sim-cluster.ts';
import { fill } from '#test/support/snapshots.ts';
import { newcomer } from '#test/support/epochs.ts';
import { codeOfPromise } from '#test/support/codes.ts';

/** Policies in a cluster of cores, on the fake network and in virtual time. */

const LOCK = 'forbid (principal, action in Action::"data", resource in KeyPrefix::"locked/");';

async function operate(cluster: SimCluster, index: number, seq: number, kind: string, body: Body) {
  const [operator] = cluster.net.operators as readonly [TestActor];
  const { actor, coseKey, signer } = operator;
  const { id: chain } = cluster.net.chain;
  const entry = await signEvent({ chain, actor, lane: 0, seq, kind, body, hlc: [0, 0] }, signer);
  return cluster.during(cluster.at(index).core.submit(entry.bytes, coseKey));
}

const logOf = ({ core }: SimNode): string[] =>
  [...core.log.range(1, 100)].map(({ entry, verdict }) =>
    `${entry.event.kind} ${verdictName(verdict)}`);

test('what a cut-off node took before a change is denied on all nodes alike', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, active: newGenesisSchema() });
  cluster.hub.partition(['peer-0', 'peer-1', 'peer-2'], ['peer-3']);
  await cluster.run(1000);
  await cluster.put(3, 'locked/a');
  await operate(cluster, 0, 1, 'policy.put/1', { id: 'lock', text: LOCK });
  t.true(await cluster.until(() => cluster.haveFinal(1, [0, 1, 2]), 5000));
  // the majority refuses it at once, the cut-off node does not know better
  t.is(await codeOfPromise(cluster.put(0, 'locked/b')), 'policy_denied');
  await cluster.put(3, 'locked/c');
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(3), 60_000));
  await cluster.run(2000);
  t.is(new Set(cluster.summaries()).size, 1);
  for (const node of cluster.nodes) {
    t.deepEqual(logOf(node), ['policy.put/1 applied', 'kv.put/1 denied', 'kv.put/1 denied']);
  }
  t.is(await codeOfPromise(cluster.put(3, 'locked/d')), 'policy_denied');
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('two changes at once: the guard judges them in their final order', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, active: newGenesisSchema() });
  // each alone leaves a way to change policies, both together would not
  const second = 'permit (principal in Role::"operator", action in Action::"policy", resource);';
  await operate(cluster, 0, 1, 'policy.put/1', { id: 'second', text: second });
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  await Promise.all([
    operate(cluster, 1, 2, 'policy.delete/1', { id: 'default.policy' }),
    operate(cluster, 2, 3, 'policy.delete/1', { id: 'second' }),
  ]);
  t.true(await cluster.until(() => cluster.haveFinal(3), 5000));
  const logs = cluster.nodes.map((node) => logOf(node).slice(1).toSorted().join());
  t.deepEqual(new Set(logs), new Set(['policy.delete/1 applied,policy.delete/1 policy_lockout']));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('a node that was killed comes back with the policies that hold', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, active: newGenesisSchema() });
  const rows = await cluster.crash(3);
  await operate(cluster, 0, 1, 'policy.put/1', { id: 'lock', text: LOCK });
  t.true(await cluster.until(() => cluster.haveFinal(1, [0, 1, 2]), 5000));
  await cluster.restart(3, rows);
  t.true(await cluster.until(() => cluster.haveFinal(1), 10_000));
  t.is(await codeOfPromise(cluster.put(3, 'locked/a')), 'policy_denied');
  await cluster.put(3, 'open');
  t.true(await cluster.until(() => cluster.haveFinal(2), 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('who joins by a snapshot decides as the others, also what came before it', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, active: newGenesisSchema() });
  await operate(cluster, 0, 1, 'policy.put/1', { id: 'lock', text: LOCK });
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  await fill(cluster, 240, [0], 4);
  const observer = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => observer.core.replica.fold.size === 241, 30_000));
  t.true(observer.core.replica.counters.finals < 241, 'not folded again');
  const [operator] = cluster.net.operators as readonly [TestActor];
  const event = {
    chain: cluster.net.chain.id, actor: operator.actor, lane: 0, seq: 9, kind: 'kv.put/1',
    body: { key: 'locked/a', value: new Uint8Array() }, hlc: [0, 0] as const,
  };
  const said = observer.core.replica.fold.reducer.permission(event, 1);
  t.deepEqual(said?.reasons, ['lock']);
  await operate(cluster, 0, 2, 'policy.rollback/1', { version: 0 });
  t.true(await cluster.until(() => cluster.haveFinal(242), 10_000));
  t.true(observer.core.replica.fold.reducer.permission(event, 1)?.isAllowed);
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});
