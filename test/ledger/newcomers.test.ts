import test from 'ava';
import { verdictName } from '#ledger/verdicts.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { areIn, changeCommittee, joining, newcomer, showAtWork } from '#test/support/epochs.ts';

/** Validators that were added and never run: finality goes on, and the change can be undone. */

test('keys that never run take no quorum away, in one event or in several', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 31 });
  const keys = [0, 1, 2].map((i) => joining(newcomer(i), `nobody-${i}`));
  const ids = [await changeCommittee(cluster, 0, keys)];
  t.true(await cluster.until(() => cluster.haveFinal(1), 10_000));
  for (const key of keys) {
    ids.push(await changeCommittee(cluster, 1, [key]));
    t.true(await cluster.until(() => cluster.haveFinal(ids.length), 20_000), `${ids.length}`);
  }
  await cluster.run(3000);
  const [first] = cluster.nodes;
  const verdicts = ids.map((id) => verdictName(first?.core.log.finalEvent(id)?.verdict ?? -1));
  t.deepEqual(verdicts, ['committee_quorum', 'applied', 'committee_quorum', 'committee_quorum']);
  t.is(first?.core.replica.committee.size, 5);
  await changeCommittee(cluster, 2, [], [newcomer(0)]);
  t.true(await cluster.until(() => areIn(cluster, 2), 20_000));
  t.is(first?.core.replica.committee.size, 4);
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('newcomers that run follow one another in', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 32 });
  for (const i of [0, 1, 2]) {
    const node = await cluster.join(`peer-${4 + i}`, newcomer(i));
    await cluster.run(50);
    await changeCommittee(cluster, 0, [joining(node.who, node.name)]);
    t.true(await cluster.until(() => areIn(cluster, i + 1), 10_000), `${i}`);
    await showAtWork(cluster, 4 + i);
  }
  t.is(cluster.at(6).core.replica.committee.size, 7);
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
