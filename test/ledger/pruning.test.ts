import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ReceiptMaker } from '#ledger/receipt-maker.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { directVerifier } from '#test/support/cluster.ts';
import { areIn, changeCommittee, joining, newcomer, showAtWork } from '#test/support/epochs.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { SimNode } from '#test/support/sim-cluster.ts';
import { fill } from '#test/support/snapshots.ts';

/** A node that keeps a part of the log: bounded, able to restart, and honest about it. */

const retention = { events: 60 };

/** Events in steps, with the time in between after which the log is cut. */
async function live(cluster: SimCluster, steps: number, indexes = [0]): Promise<void> {
  for (let i = 0; i < steps; i++) {
    await fill(cluster, 20, indexes, 2);
    await cluster.run(11_000);
  }
}

function bytesOf({ store }: SimNode): number {
  let bytes = 0;
  for (const [key, value] of store.rows) bytes += key.length + value.length;
  return bytes;
}

async function assertPruned(t: ExecutionContext, node: SimNode): Promise<void> {
  const { core, store } = node;
  const { size } = core.replica.fold;
  const { from } = core.log;
  t.true(from > 1 && size - from + 1 >= retention.events, `from ${from} of ${size}`);
  t.throws(() => core.log.at(from - 1), { code: 'pruned' });
  const maker = new ReceiptMaker(core.chain.id, store, core.certifier);
  const verifier = await directVerifier();
  for (const seq of [from, from + 17, size - 30]) {
    const id = core.log.at(seq)?.entry.id as string;
    const receipt = await maker.receipt(id);
    const proven = await verifyReceipt(receipt, core.chain.genesisBytes, verifier);
    t.is(proven.seq, seq);
  }
}

test('the store stays below a bound however long the log gets', async (t) => {
  const cluster = await SimCluster.start({
    validators: 1,
    seed: 61,
    remembered: 64,
    config: { retention },
  });
  const archive = await cluster.join('archive', newcomer(0), [], { retention: 'archive' });
  await live(cluster, 10);
  const early = bytesOf(cluster.at(0));
  const rows = cluster.at(0).store.rows.size;
  await live(cluster, 30);
  t.true(await cluster.until(() => cluster.haveFinal(800), 20_000));
  t.true(bytesOf(cluster.at(0)) < 1.5 * early, `${early}, then ${bytesOf(cluster.at(0))}`);
  t.true(cluster.at(0).store.rows.size < 1.5 * rows);
  t.true(bytesOf(archive) > 3 * bytesOf(cluster.at(0)));
  t.is(new Set(cluster.summaries()).size, 1);
  await assertPruned(t, cluster.at(0));
  const kept = await cluster.crash(0);
  await cluster.restart(0, kept);
  await live(cluster, 1);
  t.true(await cluster.until(() => cluster.haveFinal(820), 20_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('where all peers have pruned, a node that wants all joins by a snapshot', async (t) => {
  const cluster = await SimCluster.start({
    validators: 1,
    seed: 62,
    remembered: 64,
    config: { retention },
  });
  await cluster.join('peer-1', newcomer(1));
  await live(cluster, 12);
  const late = await cluster.join('late', newcomer(0), [], { sync: 'full' });
  t.true(await cluster.until(() => cluster.haveFinal(240), 60_000));
  t.true(late.core.replica.counters.finals < 240);
  await live(cluster, 6);
  t.is(new Set(cluster.summaries()).size, 1);
  await assertPruned(t, late);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('where one peer has the whole log it is taken, although others have pruned', async (t) => {
  const cluster = await SimCluster.start({
    validators: 1,
    seed: 63,
    remembered: 64,
    config: { retention },
  });
  await cluster.join('archive', newcomer(1), [], { retention: 'archive' });
  await live(cluster, 8);
  const late = await cluster.join('late', newcomer(0), [], { retention: 'archive' });
  t.true(await cluster.until(() => cluster.haveFinal(160), 60_000));
  t.is(late.core.replica.counters.finals, 160);
  t.is(late.core.log.from, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a laggard below the pruning point, with a pool, comes back by a snapshot', async (t) => {
  const cluster = await SimCluster.start({
    validators: 4,
    seed: 64,
    remembered: 64,
    config: { retention },
  });
  await fill(cluster, 8, [0, 1, 2, 3], 4);
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.run(20);
  const waiting = await cluster.put(3, 'while away');
  await live(cluster, 8, [0, 1, 2]);
  const before = cluster.at(3).core.replica.counters.finals;
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(169), 60_000));
  t.true(cluster.at(3).core.replica.counters.finals - before < 100);
  t.is(cluster.at(0).core.log.event(waiting)?.state, 'final');
  const { blocksSealed } = cluster.at(3).core.replica.counters;
  await fill(cluster, 8, [0, 1, 2, 3], 4);
  t.true(cluster.at(3).core.replica.counters.blocksSealed > blocksSealed, 'it seals again');
  t.is(new Set(cluster.summaries()).size, 1);
  t.is(cluster.at(0).core.replica.counters.equivocations, 0);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('pruning goes on over epochs, and receipts lead back to the genesis', async (t) => {
  const cluster = await SimCluster.start({
    validators: 1,
    seed: 65,
    remembered: 64,
    config: { retention },
  });
  for (let i = 0; i < 2; i++) {
    const node = await cluster.join(`peer-${1 + i}`, newcomer(i));
    await live(cluster, 4);
    await changeCommittee(cluster, 0, [joining(node.who, node.name)]);
    t.true(await cluster.until(() => areIn(cluster, i + 1), 10_000));
    await showAtWork(cluster, 1 + i);
  }
  await live(cluster, 6, [0, 1, 2]);
  await assertPruned(t, cluster.at(0));
  t.false([...cluster.at(0).store.rows.keys()].some((key) => key.startsWith('b/0')));
  const late = await cluster.join('late', newcomer(9));
  t.true(await cluster.until(() => cluster.haveFinal(284), 60_000));
  t.is(late.core.replica.committee.epoch, 2);
  await live(cluster, 5, [0, 1, 2]);
  await assertPruned(t, late);
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
