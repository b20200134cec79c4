import test from 'ava';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { ReceiptMaker } from '#ledger/receipt-maker.ts';
import { directVerifier } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import {
  areIn,
  changeCommittee,
  differing,
  epochOf,
  joining,
  logOf,
  newcomer,
  showAtWork,
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

test('4, 7, 4 under load: one log, one state, all that was acknowledged once', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 12, write_ms: 1 });
  const others = [0, 1, 2].map(newcomer);
  for (const [i, who] of others.entries()) await cluster.join(`peer-${4 + i}`, who);
  await cluster.run(50);
  const ids: string[] = [];
  const load = async (count: number, nodes: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      ids.push(await cluster.put(i % nodes, `k${i % 9}`, `${ids.length}`, i % 3 !== 0));
      await cluster.run(i % 4);
    }
  };
  await load(12, 4);
  for (const [i, who] of others.entries()) {
    ids.push(await changeCommittee(cluster, i, [joining(who, `peer-${4 + i}`)]));
    await load(6, 4);
    t.true(await cluster.until(() => areIn(cluster, i + 1), 10_000), `epoch ${i + 1}`);
    ids.push(await showAtWork(cluster, 4 + i));
  }
  t.is(cluster.at(6).core.replica.committee.size, 7);
  await load(20, 7);
  const leaving = [0, 2, 3].map((i) => cluster.net.validators[i]);
  ids.push(await changeCommittee(cluster, 1, [], leaving.flatMap((who) => who ?? [])));
  await load(20, 7);
  t.true(await cluster.until(() => areIn(cluster, 4), 10_000));
  t.is(cluster.at(0).core.replica.committee.size, 4);
  t.is(cluster.at(0).core.replica.author, undefined);
  await load(14, 7);
  t.true(await cluster.until(() => cluster.haveFinal(ids.length), 20_000));
  t.deepEqual(logOf(cluster.at(5)).toSorted(), ids.toSorted());
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(differing(cluster), []);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a validator leaves by its own event, and follows on', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 13 });
  const { id } = await cluster.during(cluster.at(2).core.author('committee.leave/1', {}, false));
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  t.is(cluster.at(2).core.log.event(id)?.state, 'final');
  t.is(cluster.at(2).core.replica.author, undefined);
  t.is(cluster.at(0).core.replica.committee.size, 3);
  await cluster.put(2, 'from an observer');
  t.true(await cluster.until(() => cluster.haveFinal(2), 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('a laggard that was away over two epochs comes back into the third', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 14 });
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.run(20);
  await cluster.put(3, 'while away');
  const others = [0, 1].map(newcomer);
  for (const [i, who] of others.entries()) {
    const node = await cluster.join(`peer-${4 + i}`, who);
    cluster.hub.cut('peer-3', node.name);
    await cluster.run(50);
    for (let j = 0; j < 4; j++) await cluster.put(j % 3, `k${j}`, `${i}`);
    await changeCommittee(cluster, 0, [joining(who, node.name)]);
    t.true(await cluster.until(() => areIn(cluster, i + 1, [0, 1, 2, 4]), 5000));
    await showAtWork(cluster, 4 + i);
  }
  t.is(epochOf(cluster.at(3)), 0);
  for (let j = 0; j < 4; j++) await cluster.put(j % 3, `l${j}`);
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(17), 20_000));
  t.true(areIn(cluster, 2));
  t.is(cluster.at(3).core.replica.author, 3);
  await cluster.put(3, 'back again', 'x', false);
  t.true(await cluster.until(() => cluster.haveFinal(18), 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a new observer takes the log over all epochs from the start', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 15 });
  for (let i = 0; i < 3; i++) {
    const node = await cluster.join(`peer-${1 + i}`, newcomer(i));
    await cluster.run(50);
    await cluster.put(0, `k${i}`);
    await changeCommittee(cluster, 0, [joining(node.who, node.name)]);
    t.true(await cluster.until(() => areIn(cluster, i + 1), 5000));
    await showAtWork(cluster, 1 + i);
  }
  await cluster.join('late', newcomer(9));
  t.true(await cluster.until(() => cluster.haveFinal(9) && areIn(cluster, 3), 20_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('without a quorum of the old committee nothing changes, and accepting goes on', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 16 });
  await cluster.put(0, 'first');
  t.true(await cluster.until(() => cluster.haveFinal(1), 3000));
  cluster.hub.partition(['peer-0', 'peer-1'], ['peer-2'], ['peer-3']);
  await cluster.run(20);
  const who = [2, 3].flatMap((i) => cluster.net.validators[i] ?? []);
  await changeCommittee(cluster, 0, [], who);
  await cluster.run(20_000);
  t.true(areIn(cluster, 0));
  const id = await cluster.put(0, 'still accepted');
  t.is(cluster.at(0).core.log.event(id)?.state, 'accepted');
  cluster.hub.healAll();
  t.true(await cluster.until(() => areIn(cluster, 1) && cluster.haveFinal(3), 20_000));
  t.is(cluster.at(0).core.replica.committee.size, 2);
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('the last of four decides the end although the others have gone on', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 17 });
  // peer-3 hears everything late: it holds too little when the others end the epoch
  for (const i of [0, 1, 2]) cluster.hub.shape(`peer-${i}`, 'peer-3', { delay_ms: [400, 400] });
  const node = await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  await changeCommittee(cluster, 0, [joining(node.who, node.name)]);
  t.true(await cluster.until(() => areIn(cluster, 1, [0, 1, 2, 4]), 10_000));
  for (let i = 0; i < 6; i++) await cluster.put(i % 3, `k${i}`);
  t.true(await cluster.until(() => cluster.haveFinal(7), 20_000));
  t.true(areIn(cluster, 1));
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('receipts of every epoch verify offline from the genesis', async (t) => {
  const cluster = await SimCluster.start({ validators: 1, seed: 18 });
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    const node = await cluster.join(`peer-${1 + i}`, newcomer(i));
    await cluster.run(50);
    ids.push(await cluster.put(0, `signed-${i}`), await cluster.put(0, `bare-${i}`, 'x', false));
    ids.push(await changeCommittee(cluster, 0, [joining(node.who, node.name)]));
    t.true(await cluster.until(() => areIn(cluster, i + 1), 5000));
    ids.push(await showAtWork(cluster, 1 + i));
  }
  ids.push(await cluster.put(3, 'bare in the last', 'x', false));
  t.true(await cluster.until(() => cluster.haveFinal(13), 5000));
  await cluster.run(5000);
  const { genesisBytes } = cluster.net.chain;
  const verifier = await directVerifier();
  const { core, store } = cluster.at(2);
  const maker = new ReceiptMaker(cluster.net.chain.id, store, core.certifier);
  for (const id of ids) {
    const bytes = await maker.receipt(id);
    const { entry, network } = await verifyReceipt(bytes, genesisBytes, verifier);
    t.is(entry.id, id);
    t.is(network, 'test');
  }
  await cluster.stop();
});
