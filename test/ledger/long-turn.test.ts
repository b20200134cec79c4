import test from 'ava';
import type { Block } from '#ledger/block.ts';
import { BLOCK_ENTRIES_MAX } from '#ledger/limits.ts';
import { ChainBuilder } from '#test/support/chain-builder.ts';
import { newcomer } from '#test/support/epochs.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** More rows than V8 takes as arguments of one call: some 125,000. */
const BLOCKS = 90;

test('a node that is handed a log of full blocks at once folds it in one turn', async (t) => {
  const cluster = await SimCluster.start({ validators: 1 }, [0]);
  const builder = await ChainBuilder.start(cluster.net);
  const [author] = cluster.net.validators as [TestActor];
  const { core, failures } = await cluster.join('peer-9', newcomer(9));
  const value = Uint8Array.of(1);
  let seq = 0;
  const entry = () => {
    seq += 1;
    return builder.bareEvent(author, seq, { body: { key: `k${seq}`, value } });
  };
  const blocks: Block[] = [];
  for (let i = 0; i < BLOCKS + 2; i++) {
    const payload = i < BLOCKS ? Array.from({ length: BLOCK_ENTRIES_MAX }, entry) : [];
    blocks.push(...(await builder.addRound(() => payload)));
  }
  for (const block of blocks) core.replica.offer(block, undefined);
  await cluster.during(core.replica.settled());
  t.deepEqual(failures.map((error) => (error as Error).stack), []);
  t.is(core.replica.fold.size, seq);
  t.deepEqual(core.replica.fold.summary(), builder.summary);
  await cluster.stop();
});
