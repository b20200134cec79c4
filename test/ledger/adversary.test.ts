import test from 'ava';
import { genesisBlockId } from '#ledger/genesis.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { areIn } from '#test/support/epochs.ts';
import { Rogue } from '#test/support/rogue.ts';

/** What one faulty validator, a wrong clock or a conflict cannot do. */

for (const seed of [1, 2, 3]) {
  test(`twins in every slot of one author stop nobody (seed ${seed})`, async (t) => {
    const link = { delay_ms: [1, 8] } as const;
    const cluster = await SimCluster.start({ validators: 4, seed, link }, [3]);
    const rogue = new Rogue(cluster, 3);
    let twins = 0;
    for (let i = 0; i < 15; i++) {
      await cluster.put(i % 3, `k${i}`, 'v', i % 2 === 0);
      for (let step = 0; step < 4; step++) {
        const { round } = cluster.at(0).core.replica.roundClock;
        if (round > rogue.last.round) {
          const a = await rogue.seal(round, seed === 1 ? undefined : `twin-a-${i}`);
          const b = await rogue.seal(round, `twin-b-${i}-${step}`);
          if (a && b) {
            twins += 1;
            await rogue.give(a, [0, 2]);
            await rogue.give(b, seed === 3 ? [1, 2] : [1]);
            rogue.last = i % 2 === 0 ? a.ref : b.ref;
          }
        }
        await cluster.run(6);
      }
    }
    t.true(twins >= 4, `${twins} pairs of twins`);
    const honest = (): boolean =>
      cluster.nodes.every(({ core }) => core.replica.pool.size === 0 && core.log.at(15));
    t.true(await cluster.until(honest, 10_000));
    await cluster.run(2000);
    t.is(new Set(cluster.summaries()).size, 1);
    for (const { core } of cluster.nodes) t.is(core.replica.alarm, undefined);
    t.true(cluster.nodes.some(({ core }) => core.replica.counters.equivocations > 0));
    const quiet = cluster.sealed();
    await cluster.run(20_000);
    t.is(cluster.sealed(), quiet, 'twins keep nobody awake');
    t.deepEqual(cluster.troubles(), []);
    await cluster.stop();
  });
}

test('a lonely twin wakes nobody', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 }, [3]);
  const rogue = new Rogue(cluster, 3);
  const [a, b] = [await rogue.seal(1, 'a'), await rogue.seal(1, 'b')];
  t.truthy(a && b);
  if (a) await rogue.give(a, [0]);
  if (b) await rogue.give(b, [0]);
  // the report of it is payload, and wakes them once
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  await cluster.run(1000);
  const sealed = cluster.sealed();
  t.true(sealed <= 30, `${sealed} blocks`);
  await cluster.run(20_000);
  t.is(cluster.sealed(), sealed);
  await cluster.stop();
});

test('blocks from the future are held, and taken when their time has come', async (t) => {
  const skew_ms = { 3: 3000 };
  const cluster = await SimCluster.start({ validators: 4, skew_ms });
  await cluster.put(3, 'early', 'v', false);
  await cluster.run(2000);
  t.true(cluster.haveFinal(0));
  for (const i of [0, 1, 2]) t.true(cluster.at(i).core.intake.counters.blocksHeld > 0);
  t.true(await cluster.until(() => cluster.haveFinal(1), 2000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('one clock ahead delays nobody else', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, skew_ms: { 3: 60_000 } });
  for (let i = 0; i < 5; i++) {
    await cluster.put(i % 3, `k${i}`);
    t.true(await cluster.until(() => cluster.haveFinal(i + 1, [0, 1, 2]), 2000));
    await cluster.run(100);
  }
  t.is(new Set(cluster.summaries([0, 1, 2])).size, 1);
  await cluster.stop();
});

test('a clock that lies behind: followed when f+1 others refer to held blocks', async (t) => {
  const skew_ms = { 1: 3000, 2: 3000, 3: 3000 };
  const cluster = await SimCluster.start({ validators: 4, skew_ms });
  for (let i = 0; i < 5; i++) {
    await cluster.put(1 + (i % 3), `k${i}`, 'v', false);
    t.true(await cluster.until(() => cluster.haveFinal(i + 1, [1, 2, 3]), 1000), `event ${i}`);
    await cluster.run(50);
  }
  t.true(cluster.at(0).core.replica.fold.size >= 4, 'all but the last are final at once');
  // nobody refers to the last blocks of a burst: they wait for their time
  await cluster.run(3000);
  t.true(cluster.haveFinal(5), `${cluster.at(0).core.replica.fold.size} are final`);
  await cluster.stop();
});

test('accepted reads show pending writes until the final order says otherwise', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  const value = (i: number, level: 'accepted' | 'final'): string | undefined => {
    const row = cluster.at(i).core.rows('kv', level).get('same');
    return row && Buffer.from(row).toString('hex');
  };
  cluster.hub.partition(['peer-0', 'peer-1'], ['peer-2', 'peer-3']);
  await cluster.run(10);
  const put = (i: number, text: string) => {
    const body = { key: 'same', value: new TextEncoder().encode(text), ifSeq: 0 };
    return cluster.during(cluster.at(i).core.author('kv.put/1', body, true));
  };
  await put(0, 'left');
  await put(2, 'right');
  await cluster.run(1000);
  const [left, right] = [value(0, 'accepted'), value(2, 'accepted')];
  t.truthy(left);
  t.truthy(right);
  t.not(left, right);
  t.is(value(1, 'accepted'), left);
  t.is(value(3, 'accepted'), right);
  t.is(value(0, 'final'), undefined);
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(2), 10_000));
  const finals = [0, 1, 2, 3].map((i) => value(i, 'final'));
  t.is(new Set(finals).size, 1);
  t.truthy(finals[0]);
  t.deepEqual([0, 1, 2, 3].map((i) => value(i, 'accepted')), finals);
  const verdicts = [...cluster.at(0).core.log.range(1, 5)].map(({ verdict }) => verdict);
  t.deepEqual(verdicts, [0, 256]);
  await cluster.stop();
});

test('a block with a made-up parent at round 0 is refused, whatever the horizon', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 }, [3]);
  const rogue = new Rogue(cluster, 3);
  const { committee } = cluster.net.chain;
  const right = [3, 0, 1, 2].map((author) => ({
    round: 0,
    author,
    id: genesisBlockId(cluster.net.chain.id, committee, author),
  }));
  const wrong = right.map((ref, i) => (i === 1 ? { ...ref, id: 'ab'.repeat(32) } : ref));
  const good = await rogue.seal(1, undefined, { parents: right });
  const bad = await rogue.seal(1, undefined, { parents: wrong });
  if (good) await t.notThrowsAsync(rogue.give(good, [0]));
  if (bad) await t.throwsAsync(rogue.give(bad, [1]), { code: 'bad_parents' });
  await cluster.stop();
});

test('a value that looks like a signature in an unsigned event harms no block', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  // the head of a signature's byte string, at every offset that can end up where one would stand
  const head = Buffer.from('81590cf88444a1013830a0f6590ced', 'hex');
  const value = new Uint8Array(4096);
  const entryTail = 3324;
  for (let at = 0; at + head.length <= 4096; at += head.length) value.set(head, at);
  for (let shift = 0; shift < head.length; shift++) {
    const body = { key: `k${shift}`, value: value.subarray(0, value.length - shift) };
    const entry = await cluster.during(cluster.at(0).core.author('kv.put/1', body, false));
    t.true(entry.bytes.length > entryTail);
    t.true(await cluster.until(() => cluster.haveFinal(shift + 1), 3000), `offset ${shift}`);
  }
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('texts that do not survive their bytes split no state', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  const keys = ['\uFEFFkey', 'key', '\uD800', '\uDC00', '\uFFFD', 'a\uD83D', 'e\u0301', '\u00E9'];
  let accepted = 0;
  for (const [i, key] of keys.entries()) {
    for (const isSigned of [true, false]) {
      const body = { key, value: Uint8Array.of(i) };
      const step = cluster.at(i % 4).core.author('kv.put/1', body, isSigned);
      const code = await codeOfPromise(cluster.during(step));
      t.true(code === 'none' || code === 'not_canonical', code);
      if (code === 'none') accepted += 1;
    }
    await cluster.run(200);
  }
  t.true(accepted > 6);
  t.true(await cluster.until(() => cluster.haveFinal(accepted), 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  const rows = cluster.nodes.map(({ store }) =>
    [...store.rows.keys()].filter((key) => key.startsWith('s/kv/')).toSorted().join(),
  );
  t.is(new Set(rows).size, 1);
  await cluster.stop();
});

test('a body that cannot be written is refused, and the node goes on', async (t) => {
  const cluster = await SimCluster.start({ validators: 2 });
  const value = Uint8Array.of(1);
  const bodies = [
    { key: 'a', value, ifSeq: 2 ** 60 },
    { key: 'a', value, ifSeq: 1.5 },
    { key: 'a', value, type: undefined },
    { key: 'a', value, other: 1 },
    { key: 'a' },
    { key: 'a', value: 'text' },
    { key: '', value },
    { key: 'a', value: new Uint8Array(61 * 1024) },
  ];
  for (const body of bodies) {
    const code = await codeOfPromise(
      cluster.during(cluster.at(0).core.author('kv.put/1', body, false)),
    );
    const isCoded = ['bad_body', 'not_canonical', 'wrong_type'].includes(code);
    t.true(isCoded, `${JSON.stringify(body)}: ${code}`);
  }
  await cluster.put(0, 'after');
  await cluster.run(2000);
  t.truthy(cluster.at(1).core.rows('kv', 'final').get('after'));
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
