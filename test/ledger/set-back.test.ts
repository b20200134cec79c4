import test from 'ava';
import { storeKeys } from '#ledger/keys.ts';
import type { PeerName, Protocol } from '#ledger/ports.ts';
import { areIn, changeCommittee, joining, newcomer } from '#test/support/epochs.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { fill } from '#test/support/snapshots.ts';

/** Stores that were set back or lost while catching up is slow, and nodes that have halted. */

/** Commit ranges come this much later. */
const SLOW_MS = 8000;

/** Makes commit ranges slow for one node. */
function slowRanges(cluster: SimCluster, index: number): void {
  const { network } = cluster.at(index);
  const request = network.request.bind(network);
  const slow: FakeNetwork['request'] = async function* (
    peer: PeerName,
    protocol: Protocol,
    message,
    limits,
  ) {
    if (protocol === 'range') {
      await new Promise<void>((resolve) => cluster.clock.after(SLOW_MS, resolve));
    }
    yield* request(peer, protocol, message, limits);
  };
  Object.assign(network, { request: slow });
}

test('a store set back far is noticed before the rounds up to there have come', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 5 });
  await cluster.join('peer-4', newcomer(0));
  await cluster.put(3, 'first', 'v');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  const [old, oldObserver] = [3, 4].map((i) => new Map(cluster.at(i).store.rows));
  for (let i = 2; i < 14; i++) {
    await cluster.put(3, `k${i}`);
    t.true(await cluster.until(() => cluster.haveFinal(i), 5000));
  }
  t.true((cluster.at(3).core.replica.last?.round ?? 0) > 40);
  for (const index of [3, 4]) await cluster.crash(index);
  // an observer that is as old tells nothing of what was sealed since
  await cluster.restart(4, oldObserver ?? []);
  await cluster.restart(3, old ?? []);
  for (const index of [3, 4]) slowRanges(cluster, index);
  const { core } = cluster.at(3);
  void core.author('kv.put/1', { key: 'x', value: new Uint8Array(1) }, true).catch(() => undefined);
  t.true(await cluster.until(() => core.replica.hasForgotten, 3000));
  await cluster.run(12_000);
  t.is(core.replica.counters.blocksSealed, 0);
  t.is(cluster.at(0).core.replica.counters.equivocations, 0);
});

for (const sync of ['full', 'snapshot'] as const) {
  test(`a validator of a later epoch tells of its lost store, ${sync}`, async (t) => {
    const cluster = await SimCluster.start({ validators: 4, seed: 66 });
    const node = await cluster.join('peer-4', newcomer(0), [], { sync });
    await cluster.run(50);
    await changeCommittee(cluster, 0, [joining(node.who, 'peer-4')]);
    t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
    await fill(cluster, 300, [0, 1, 2, 3], 2);
    await cluster.run(3000);
    await cluster.crash(4);
    await cluster.restart(4, [[storeKeys.lost, Uint8Array.of(1)]]);
    const hasTold = () => cluster.at(4).store.get(storeKeys.returning) !== undefined;
    t.true(await cluster.until(hasTold, 30_000));
  });
}

test('what a halted validator takes finds its way through the others', async (t) => {
  const pool = { events_max: 400, bytes_max: 1e8, eventsPerActor_max: 100 };
  const cluster = await SimCluster.start({ validators: 4, seed: 6, config: { pool } });
  await cluster.put(3, 'first', 'v');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  cluster.at(3).core.replica.haltFinality();
  for (let i = 0; i < 50; i++) await cluster.put(3, `b${i}`, 'v', false);
  const isElsewhere = () => cluster.at(0).core.replica.fold.size === 51;
  t.true(await cluster.until(isElsewhere, 30_000));
});
