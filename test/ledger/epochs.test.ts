import test from 'ava';
import { SimCluster } from '#test/support/sim-cluster.ts';
import {
  areIn,
  changeCommittee,
  differing,
  joining,
  logOf,
  newcomer,
} from '#test/support/epochs.ts';

/** The committee changes by final events: one log goes on over all epochs. */

test('an observer becomes the fifth of four validators, and the log goes on', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 11 });
  const who = newcomer(0);
  await cluster.join('peer-4', who);
  await cluster.run(50);
  await cluster.put(0, 'before');
  t.true(await cluster.until(() => cluster.haveFinal(1), 3000));
  await changeCommittee(cluster, 1, [joining(who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  const { committee } = cluster.at(4).core.replica;
  t.is(committee.size, 5);
  t.is(cluster.at(4).core.replica.author, 4);
  t.is(new Set(cluster.nodes.map(({ core }) => core.replica.committee.base)).size, 1);
  for (let i = 0; i < 5; i++) await cluster.put(i, `after-${i}`);
  t.true(await cluster.until(() => cluster.haveFinal(7), 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(differing(cluster), []);
  t.is(new Set(logOf(cluster.at(0))).size, 7);
  t.true(cluster.at(4).core.replica.counters.blocksSealed > 0);
  t.deepEqual(cluster.troubles(), []);
  const sealed = cluster.sealed();
  await cluster.run(5000);
  t.is(cluster.sealed(), sealed, 'a quiet network stays quiet in a new epoch');
  await cluster.stop();
});
