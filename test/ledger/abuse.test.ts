import test from 'ava';
import { entryOf, signEvent } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import { FairQueue } from '#ledger/fair-queue.ts';
import { Pool } from '#ledger/pool.ts';
import type { Pending } from '#ledger/pool.ts';
import { Shares } from '#ledger/shares.ts';
import { encodePoolItems } from '#ledger/sync/messages.ts';
import { codeIn } from '#test/support/codes.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { ada, bob, put } from './fold-support.ts';

/** What one actor or peer takes from others by asking for too much: nothing that they notice. */

const eve = 'ee'.repeat(32);

const pending = (actor: string, seq: number, isOwn = true): Pending => ({
  entry: put(actor, seq, 'a'),
  coseKey: undefined,
  isOwn,
  due_ms: 0,
});

const turnsOf = (ready: Iterable<Pending>): string =>
  [...ready]
    .map(({ entry: { event } }) => `${{ [ada]: 'a', [bob]: 'b', [eve]: 'e' }[event.actor]}`)
    .join('');

test('a room is shared by what is free: one takes two thirds, more get the same each', (t) => {
  for (const parties of [1, 2, 5, 20]) {
    const shares = new Shares(4100);
    const held = Array.from({ length: parties }, () => 0);
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      for (const party of held.keys()) {
        if (!shares.take(`${party}`)) continue;
        held[party] = (held[party] ?? 0) + 1;
        isMoving = true;
      }
    }
    const fair = (2 * 4100) / (2 * parties + 1);
    for (const one of held) t.true(Math.abs(one - fair) < 3, `${one} of ${fair}`);
    t.true(shares.take('newcomer'), 'there is room for one more');
    shares.give('newcomer');
    shares.give('newcomer');
    for (const [party, count] of held.entries()) {
      for (let i = 0; i < count; i++) shares.give(`${party}`);
    }
    t.true(shares.take('0'));
  }
});

test('a pool that two actors flood keeps room for a third, in events and in bytes', (t) => {
  const bytes = put(ada, 1, 'a').bytes.length;
  for (const limits of [
    { events_max: 300, bytes_max: 1e9 },
    { events_max: 1e6, bytes_max: 300 * bytes },
  ]) {
    const pool = new Pool({ ...limits, eventsPerActor_max: 150 });
    const codes = new Set<string>();
    for (let seq = 1; seq <= 400; seq++) {
      for (const actor of [ada, eve]) codes.add(codeIn(() => pool.add(pending(actor, seq))));
    }
    t.deepEqual([...codes].toSorted(), ['actor_quota', 'none']);
    for (let seq = 1; seq <= 20; seq++) {
      t.is(codeIn(() => pool.add(pending(bob, seq))), 'none');
    }
  }
});

test('waiting events go out one of each actor in turn, and who was served waits', (t) => {
  const pool = new Pool({ events_max: 100, bytes_max: 1e6, eventsPerActor_max: 100 });
  for (let seq = 1; seq <= 5; seq++) pool.add(pending(eve, seq));
  for (let seq = 1; seq <= 2; seq++) pool.add(pending(ada, seq));
  pool.add(pending(bob, 1));
  pool.add(pending(bob, 2, false));
  t.is(turnsOf(pool.ready(0)), 'eabbeaeee');
  pool.carried(put(eve, 1, 'a').id);
  t.is(turnsOf(pool.ready(0)), 'abebaeee');
  pool.released(put(eve, 1, 'a').id);
  t.is(turnsOf(pool.ready(0)), 'abebaeeee');
});

test('what leaves the line of an actor leaves no trace', (t) => {
  const queue = new FairQueue();
  for (let seq = 1; seq <= 3; seq++) queue.add(pending(ada, seq));
  queue.delete(pending(ada, 2));
  queue.delete(pending(ada, 2));
  queue.delete(pending(bob, 1));
  t.is(queue.size, 2);
  t.deepEqual([...queue.values()].map(({ entry }) => entry.event.seq), [1, 3]);
  for (const seq of [1, 3]) queue.delete(pending(ada, seq));
  t.deepEqual([queue.size, [...queue.rounds(() => true)].length], [0, 0]);
});

function signed(cluster: SimCluster, who: TestActor, seq: number): Promise<Entry> {
  return signEvent(
    {
      chain: cluster.net.chain.id,
      actor: who.actor,
      lane: 1,
      seq,
      kind: 'kv.put/1',
      body: { key: `${seq}`, value: new Uint8Array(20) },
      hlc: [0, 0],
    },
    who.signer,
  );
}

test('an event behind a flood of another member is in the next block, not behind it', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, operators: 2 });
  const [flooder, honest] = cluster.net.operators as [TestActor, TestActor];
  const { core, finals } = cluster.at(0);
  const flood: Entry[] = [];
  for (let seq = 1; seq <= 350; seq++) flood.push(await signed(cluster, flooder, seq));
  const one = await signed(cluster, honest, 1);
  await cluster.during(
    Promise.all([
      ...flood.map(({ bytes }) => core.submit(bytes, flooder.coseKey)),
      core.submit(one.bytes, honest.coseKey),
    ]),
  );
  t.true(await cluster.until(() => cluster.haveFinal(351), 20_000));
  const seq = finals.find(({ entry }) => entry.id === one.id)?.seq ?? 0;
  t.true(seq > 0 && seq <= 100, `event ${seq} of 351; a block holds some 70 of them`);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a peer with forged events costs few checks, is banned, and others go on', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  const { core, network } = cluster.at(0);
  const member = cluster.net.operators[0] as TestActor;
  const liar = cluster.hub.join('liar', seededActor('liar').actor);
  await liar.start();
  await cluster.run(20);
  t.true(network.peers().some(({ peer }) => peer === 'liar'));
  const good = await signed(cluster, member, 1);
  const items = Array.from({ length: 280 }, (_, i) => ({
    entry: entryOf({ ...good.event, seq: 2 + i }, good.sign1).bytes,
    coseKey: member.coseKey,
  }));
  for (let i = 0; i < 5; i++) {
    const shuffled = [...items.slice(i), ...items.slice(0, i)];
    liar.tell(['peer-0'], 'events', encodePoolItems(shuffled));
  }
  await cluster.run(500);
  const refused = core.submissions.counters.refused.get('bad_event_signature') ?? 0;
  t.true(refused > 0 && refused <= 5 * 32, `${refused} of ${5 * 280} were checked`);
  t.false(network.peers().some(({ peer }) => peer === 'liar'), 'it is banned');
  t.is(core.replica.pool.size, 0);
  await cluster.put(0, 'honest');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  await cluster.stop();
});
