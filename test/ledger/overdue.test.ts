import test from 'ava';
import { splitByteStrings } from '#ledger/codec.ts';
import { prefixRange } from '#ledger/keys.ts';
import type { SimNode } from '#test/support/sim-cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** Events in the blocks that a node holds, each as often as it is carried. */
async function carried({ store }: SimNode): Promise<number> {
  let count = 0;
  for await (const [, row] of store.range(prefixRange('b/'))) {
    // header, signature, ids of keys, then the entries
    count += splitByteStrings(row).length - 3;
  }
  return count;
}

test('on links so slow that commits take twenty seconds events are carried once', async (t) => {
  const link = { delay_ms: [4000, 4200] } as const;
  const cluster = await SimCluster.start({ validators: 4, seed: 5, link });
  await cluster.run(20_000);
  for (let i = 0; i < 40; i++) {
    await cluster.put(i % 4, `k${i}`);
    if (i % 4 === 3) await cluster.run(1000);
  }
  t.true(await cluster.until(() => cluster.haveFinal(40), 200_000));
  t.is(await carried(cluster.at(0)), 40);
  await cluster.stop();
});

test('events of a block that nobody builds on are carried by another one', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 6 });
  await cluster.put(0, 'first');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  // its block reaches nobody until the others have gone on without it
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.put(3, 'alone');
  await cluster.run(12_000);
  t.is(cluster.at(3).core.replica.pool.ownWaiting, 1, 'it waits for another block');
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(2), 10_000));
  await cluster.stop();
});
