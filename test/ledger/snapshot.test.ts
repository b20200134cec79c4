import test from 'ava';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { newcomer } from '#test/support/epochs.ts';
import { fill } from '#test/support/snapshots.ts';

/** A node far behind takes the certified state, and the log from there on. */

test('a fresh observer joins by a snapshot and goes on with the others', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 51 });
  await fill(cluster, 1500);
  const observer = await cluster.join('late', newcomer(0), [], { sync: 'snapshot' });
  t.true(await cluster.until(() => observer.core.replica.fold.size === 1500, 30_000));
  t.true(observer.core.replica.counters.finals < 1500, 'not folded again');
  await fill(cluster, 40);
  t.true(await cluster.until(() => cluster.haveFinal(1540), 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
