import test from 'ava';
import { signEvent } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import { codeOf } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** Restarts, late joiners and lost power: nothing acknowledged is lost, nothing stands twice. */

/** An event that the cluster's operator signs by itself. */
function clientEvent(cluster: SimCluster, seq: number, key: string, operator = 0): Promise<Entry> {
  const who = cluster.net.operators[operator];
  if (!who) throw new Error('no operator');
  const body = { key, value: Uint8Array.of(seq % 256) };
  const event = {
    chain: cluster.net.chain.id,
    actor: who.actor,
    lane: 0,
    seq,
    kind: 'kv.put/1',
    body,
    hlc: [cluster.clock.wall_ms(), 0] as const,
  };
  return signEvent(event, who.signer);
}

function keyOf(cluster: SimCluster, operator = 0): Uint8Array {
  return cluster.net.operators[operator]?.coseKey ?? new Uint8Array();
}

/** The slots in which two different blocks stand, over all nodes' stores. */
function doubledSlots(stores: readonly Iterable<readonly [string, unknown]>[]): string[] {
  const ids = new Map<string, Set<string>>();
  for (const rows of stores) {
    for (const [key] of rows) {
      if (!key.startsWith('b/')) continue;
      const slot = key.slice(0, 'b/'.length + 8 + 1 + 4);
      ids.set(slot, (ids.get(slot) ?? new Set()).add(key));
    }
  }
  return [...ids].filter(([, found]) => found.size > 1).map(([slot]) => slot);
}

test('power cuts under load: caught up, nothing twice, no slot signed twice', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 5, write_ms: 2 });
  const stores: Iterable<readonly [string, unknown]>[] = [];
  const acknowledged: string[] = [];
  for (let i = 0; i < 36; i++) {
    acknowledged.push(await cluster.put(i % 4, `k${i % 5}`, `${i}`));
    await cluster.run(i % 7);
    if (i % 9 !== 4) continue;
    const index = 1 + (i % 2);
    stores.push([...cluster.at(index).store.rows]);
    const rows = await cluster.crash(index);
    await cluster.run(i);
    await cluster.restart(index, rows);
  }
  t.true(await cluster.until(() => cluster.haveFinal(36), 20_000));
  await cluster.run(500);
  t.is(new Set(cluster.summaries()).size, 1);
  const log = [...cluster.at(1).core.log.range(1, 100)].map(({ entry }) => entry.id);
  t.deepEqual(log.toSorted(), acknowledged.toSorted());
  for (const { core, store } of cluster.nodes) {
    t.is(core.replica.counters.equivocations, 0);
    stores.push(store.rows);
  }
  t.deepEqual(doubledSlots(stores), []);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('all nodes lose power at once: what was acknowledged is final afterwards', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 6, write_ms: 3 });
  const ids: string[] = [];
  for (let i = 0; i < 12; i++) ids.push(await cluster.put(i % 4, `k${i}`));
  const rows = await Promise.all([0, 1, 2, 3].map((i) => cluster.crash(i)));
  await cluster.run(1000);
  for (const [i, left] of rows.entries()) await cluster.restart(i, left);
  t.true(await cluster.until(() => cluster.haveFinal(12), 20_000));
  const log = [...cluster.at(3).core.log.range(1, 100)].map(({ entry }) => entry.id);
  t.deepEqual(log.toSorted(), ids.toSorted());
  t.is(new Set(cluster.summaries()).size, 1);
  t.is(
    cluster.nodes.reduce((sum, { core }) => sum + core.replica.counters.equivocations, 0),
    0,
  );
  await cluster.stop();
});

test('an acknowledged event survives a power cut right after the answer', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, write_ms: 20 });
  cluster.hub.partition(['peer-0'], ['peer-1', 'peer-2', 'peer-3']);
  await cluster.run(10);
  const entry = await clientEvent(cluster, 1, 'precious');
  await cluster.during(cluster.at(0).core.submit(entry.bytes, keyOf(cluster)));
  const rows = await cluster.crash(0);
  t.true([...rows].some(([key]) => key === storeKeys.pending(entry.id)));
  await cluster.restart(0, rows);
  t.is(cluster.at(0).core.log.event(entry.id)?.state, 'accepted');
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(1), 10_000));
  await cluster.stop();
});

test('an event that comes twice at once is not acknowledged before it is kept', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, write_ms: 20 });
  const node = cluster.at(0);
  const entry = await clientEvent(cluster, 1, 'twice');
  const isKept = (): boolean =>
    [...node.store.survivors().keys()].some(
      (key) => key.endsWith(entry.id) || key.startsWith('b/'),
    );
  const send = async (): Promise<boolean> => {
    await node.core.submit(entry.bytes, keyOf(cluster));
    return isKept();
  };
  const other = await clientEvent(cluster, 2, 'other');
  const before = node.core.submit(other.bytes, keyOf(cluster));
  const first = [send(), send()];
  await cluster.run(5);
  const later = send();
  t.deepEqual(await cluster.during(Promise.all([...first, later])), [true, true, true]);
  await before;
  await cluster.stop();
});

test('a restarted core folds on from its store with one summary at every commit', async (t) => {
  const cluster = await SimCluster.start({ validators: 1 });
  for (let i = 0; i < 6; i++) {
    await cluster.put(0, `k${i % 3}`, `${i}`, i % 2 === 0);
    await cluster.run(100);
    t.true(cluster.haveFinal(i + 1));
    const [before] = cluster.summaries();
    const { state } = cluster.at(0).core.replica.orderer;
    const seq = cluster.at(0).core.replica.fold.size;
    await cluster.restart(0, await cluster.crash(0));
    t.deepEqual(cluster.summaries(), [before]);
    t.deepEqual(cluster.at(0).core.replica.orderer.state, state);
    t.is(cluster.at(0).core.replica.fold.size, seq);
  }
  await cluster.stop();
});

test('an observer with an empty store catches up over a thousand commits', async (t) => {
  const config = { busyRoundDelay_ms: 5 };
  const cluster = await SimCluster.start({ validators: 2, operators: 1, config });
  let events = 0;
  while (cluster.at(0).core.replica.orderer.state.last.index < 1010) {
    await cluster.put(events % 2, `k${events % 50}`, `${events}`, false);
    events += 1;
    await cluster.run(40);
  }
  t.true(await cluster.until(() => cluster.haveFinal(events), 2000));
  const who = cluster.net.operators[0];
  if (!who) throw new Error('no operator');
  const late = await cluster.join('late', who);
  t.true(await cluster.until(() => cluster.haveFinal(events), 20_000));
  t.is(new Set(cluster.summaries()).size, 1);
  const { counters } = late.core.intake;
  t.is(counters.blocksDropped, 0);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a validator that was away for a thousand rounds catches up and seals again', async (t) => {
  const config = { busyRoundDelay_ms: 5 };
  const cluster = await SimCluster.start({ validators: 4, config }, [3]);
  let events = 0;
  while (cluster.at(0).core.replica.roundClock.round < 1000) {
    await cluster.put(events % 3, `k${events % 50}`, `${events}`, false);
    events += 1;
    await cluster.run(40);
  }
  const who = cluster.net.validators[3];
  if (!who) throw new Error('no validator');
  await cluster.join('peer-3', who);
  t.true(await cluster.until(() => cluster.haveFinal(events), 20_000));
  await cluster.put(3, 'back', 'x', false);
  t.true(await cluster.until(() => cluster.haveFinal(events + 1), 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a flood of one actor ends at its quota and leaves room for the others', async (t) => {
  const pool = { events_max: 40, bytes_max: 2 ** 24, eventsPerActor_max: 20 };
  const cluster = await SimCluster.start({ validators: 2, operators: 2, config: { pool } });
  cluster.hub.partition(['peer-0'], ['peer-1']);
  await cluster.run(10);
  const submit = async (seq: number, operator: number): Promise<string> => {
    const entry = await clientEvent(cluster, seq, `k${seq}`, operator);
    try {
      await cluster.during(cluster.at(0).core.submit(entry.bytes, keyOf(cluster, operator)));
      return 'accepted';
    } catch (error) {
      return codeOf(error);
    }
  };
  const flood: string[] = [];
  for (let seq = 1; seq <= 30; seq++) flood.push(await submit(seq, 0));
  t.is(flood.filter((one) => one === 'accepted').length, 20);
  t.is(flood.filter((one) => one === 'actor_quota').length, 10);
  t.is(await submit(1, 1), 'accepted');
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(21), 10_000));
  t.is(await submit(31, 0), 'accepted');
  await cluster.stop();
});

test('a block that fell below the horizon loses no event, also for a late joiner', async (t) => {
  const config = { busyRoundDelay_ms: 5 };
  const cluster = await SimCluster.start({ validators: 4, config });
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.run(10);
  let events = 1;
  await cluster.put(3, 'alone', 'x', false);
  await cluster.run(20);
  const lost = cluster.at(3).core.replica.last;
  while (cluster.at(0).core.replica.roundClock.round < 75) {
    await cluster.put(events % 3, `k${events}`, 'v', false);
    events += 1;
    await cluster.run(10);
  }
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(events), 20_000));
  t.is(cluster.at(0).core.replica.orderer.dag.get(lost?.id ?? ''), undefined);
  await cluster.crash(3);
  const who = cluster.net.operators[0];
  if (!who) throw new Error('no operator');
  await cluster.join('late', who);
  t.true(await cluster.until(() => cluster.haveFinal(events, [0, 1, 2, 4]), 20_000));
  t.is(new Set(cluster.summaries([0, 1, 2, 4])).size, 1);
  await cluster.stop();
});

test('a node starts with what it acknowledged, also when its pool may hold less now', async (t) => {
  const pool = { events_max: 40, bytes_max: 2 ** 24, eventsPerActor_max: 20 };
  const config = { pool };
  const cluster = await SimCluster.start({ validators: 2, config });
  cluster.hub.partition(['peer-0'], ['peer-1']);
  await cluster.run(10);
  for (let i = 0; i < 10; i++) await cluster.put(0, `k${i}`);
  const rows = await cluster.crash(0);
  config.pool = { ...pool, eventsPerActor_max: 5 };
  await t.notThrowsAsync(cluster.restart(0, rows));
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(10), 10_000));
  await cluster.stop();
});
