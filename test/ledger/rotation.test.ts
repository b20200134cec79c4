import test from 'ava';
import { ReceiptMaker } from '#ledger/receipt-maker.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { codeOf } from '#ledger/errors.ts';
import { bytesOf } from '#ledger/ids.ts';
import { REKEY_KIND, REVOKE_KIND, ROTATE_KIND, rekeyBody, rotateBody } from '#ledger/rotation.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { directVerifier } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { areIn, differing, epochOf, logOf, newcomer } from '#test/support/epochs.ts';
import { eventBy, freshKey, hand, rotate } from '#test/support/rotations.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { SimNode } from '#test/support/sim-cluster.ts';

/** Keys change hands on the ledger while the network runs: the log goes on. */

const verdictOf = ({ core }: SimNode, id: string): string | undefined => {
  const final = core.log.finalEvent(id);
  return final && verdictName(final.verdict);
};
const validator = (cluster: SimCluster, i: number) => cluster.net.validators[i] as TestActor;
const put = (key: string) => ({ key, value: Uint8Array.of(1) });

test('a validator rotates under load: nothing is lost, nothing stands twice', async (t) => {
  const next = freshKey('one');
  const keys = new Map([[next.id, next]]);
  const cluster = await SimCluster.start({ validators: 4, seed: 61, write_ms: 1, keys });
  // it sees the rotation happen only from afar
  await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  const who = validator(cluster, 1);
  const ids: string[] = [];
  const load = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      ids.push(await cluster.put(i % 4, `k${i % 9}`, `${ids.length}`, i % 3 !== 0));
      await cluster.run(i % 4);
    }
  };
  await load(12);
  cluster.hub.partition(['peer-4'], ['peer-0', 'peer-1', 'peer-2', 'peer-3']);
  ids.push(await rotate(cluster, 2, who, who, next));
  await load(20);
  t.true(await cluster.until(() => areIn(cluster, 1, [0, 1, 2, 3]), 10_000));
  await load(20);
  t.true(await cluster.until(() => cluster.haveFinal(ids.length, [0, 1, 2, 3]), 20_000));
  t.is(epochOf(cluster.at(4)), 0);
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(ids.length), 20_000));
  t.deepEqual(logOf(cluster.at(4)).toSorted(), ids.toSorted());
  const kinds = new Set(ids.map((id) => verdictOf(cluster.at(0), id)));
  t.deepEqual([...kinds].filter((kind) => kind !== 'applied' && kind !== 'key_retired'), []);
  const { committee, author } = cluster.at(1).core.replica;
  t.is(committee.keyIdAt(1), next.id);
  t.is(author, 1);
  t.true((cluster.at(1).core.replica.last?.round ?? 0) > 0);
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(differing(cluster), []);
  t.deepEqual(cluster.troubles(), []);
  const bare = await cluster.put(1, 'bare', 'x', false);
  t.true(await cluster.until(() => verdictOf(cluster.at(3), bare) === 'applied', 5000));
  await cluster.run(10_000);
  const { core, store } = cluster.at(0);
  const receipts = new ReceiptMaker(cluster.net.chain.id, store, core.certifier);
  const verifier = await directVerifier();
  for (const id of [...ids.slice(0, 1), ...ids.slice(-1), bare]) {
    const made = await receipts.receipt(id);
    const proven = await verifyReceipt(made, cluster.net.chain.genesisBytes, verifier);
    t.is(proven.entry.id, id);
    if (id === bare) t.like(proven, { signedBy: 'block', key: next.id });
  }
  await cluster.stop();
});

test('a participant rotates with events of both keys in flight', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 62 });
  const who = cluster.net.operators[0] as TestActor;
  const next = freshKey('two');
  const signed = (key: typeof next | TestActor, name: string) =>
    eventBy(cluster, who.actor, key, 'kv.put/1', put(name));
  const early = await hand(cluster, 0, await signed(who, 'a'), who);
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  const tooEarly = await signed(next, 'b');
  const refused = await t.throwsAsync(hand(cluster, 0, tooEarly, next));
  t.is(codeOf(refused), 'not_member');
  // all of it is on its way at once
  const ids = [
    await rotate(cluster, 1, who, who, next),
    ...(await Promise.all(
      [0, 1, 2, 3].map(async (i) => hand(cluster, i, await signed(who, `c${i}`), who)),
    )),
  ];
  t.true(await cluster.until(() => cluster.haveFinal(1 + ids.length), 5000));
  t.is(epochOf(cluster.at(0)), 0, 'no epoch ends for one without a seat');
  t.is(verdictOf(cluster.at(0), early), 'applied');
  const late = await t.throwsAsync(hand(cluster, 2, await signed(who, 'd'), who));
  t.is(codeOf(late), 'key_retired');
  const first = await hand(cluster, 2, tooEarly, next);
  t.true(await cluster.until(() => verdictOf(cluster.at(3), first) === 'applied', 5000));
  const again = await t.throwsAsync(rotate(cluster, 0, who, who, freshKey('thief')));
  t.is(codeOf(again), 'key_retired');
  const back = await rotate(cluster, 0, who, next, who);
  t.true(await cluster.until(() => verdictOf(cluster.at(0), back) === 'key_taken', 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a proof by another key, of another chain, actor or key, or a copy is refused', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 63 });
  const who = cluster.net.operators[0] as TestActor;
  const next = freshKey('three');
  const other = freshKey('four');
  const chain = cluster.net.chain.id;
  const right = { chain, actor: who.actor, key: who.actor };
  const mixed = { ...(await rotateBody(right, other)), key: next.coseKey };
  const wrong = [
    mixed,
    await rotateBody({ ...right, chain: 'ab'.repeat(32) }, next),
    await rotateBody({ ...right, actor: validator(cluster, 0).actor }, next),
    await rotateBody({ ...right, key: other.id }, next),
    await rekeyBody(right, next).then(({ key, proof }) => ({ key, proof })),
  ];
  for (const body of wrong) {
    const entry = await eventBy(cluster, who.actor, who, ROTATE_KIND, body);
    const error = await t.throwsAsync(hand(cluster, 0, entry, who));
    t.is(codeOf(error), 'bad_event_signature');
  }
  const body = await rotateBody(right, next);
  const entry = await eventBy(cluster, who.actor, who, ROTATE_KIND, body);
  const id = await hand(cluster, 0, entry, who);
  t.true(await cluster.until(() => verdictOf(cluster.at(1), id) === 'applied', 5000));
  // the same proof in another's event, and in the own one again
  const thief = validator(cluster, 3);
  const copied = await eventBy(cluster, thief.actor, thief, ROTATE_KIND, body);
  t.is(codeOf(await t.throwsAsync(hand(cluster, 0, copied, thief))), 'bad_event_signature');
  const repeated = await eventBy(cluster, who.actor, next, ROTATE_KIND, body);
  t.is(codeOf(await t.throwsAsync(hand(cluster, 0, repeated, next))), 'bad_event_signature');
  t.is(await hand(cluster, 2, entry, who), id, 'the very event is known');
  await cluster.run(2000);
  t.is(cluster.at(0).core.replica.fold.size, 1);
  await cluster.stop();
});

test('a revoked validator key: no seat, no events; an operator binds a new one', async (t) => {
  const next = freshKey('five');
  const keys = new Map([[next.id, next]]);
  const cluster = await SimCluster.start({ validators: 4, seed: 64, keys });
  const operator = cluster.net.operators[0] as TestActor;
  const who = validator(cluster, 3);
  await cluster.put(3, 'before');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  const reason = 'the machine was stolen';
  const revoked = { actor: bytesOf(who.actor), key: bytesOf(who.actor), reason };
  await hand(
    cluster, 0, await eventBy(cluster, operator.actor, operator, REVOKE_KIND, revoked), operator,
  );
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  t.is(cluster.at(0).core.replica.committee.size, 3);
  t.is(codeOf(await t.throwsAsync(cluster.put(3, 'void'))), 'key_revoked');
  const stolen = await eventBy(cluster, who.actor, who, 'kv.put/1', put('void'));
  t.is(codeOf(await t.throwsAsync(hand(cluster, 0, stolen, who))), 'key_revoked');
  const body = await rekeyBody({ chain: cluster.net.chain.id, actor: who.actor }, next);
  await hand(
    cluster, 1, await eventBy(cluster, operator.actor, operator, REKEY_KIND, body), operator,
  );
  t.true(await cluster.until(() => cluster.haveFinal(3), 5000));
  const id = await cluster.put(3, 'by the new key');
  t.true(await cluster.until(() => verdictOf(cluster.at(2), id) === 'applied', 5000));
  const add = [{ key: next.coseKey, peer: 'peer-3', stake: 1 }];
  await hand(
    cluster, 0,
    await eventBy(cluster, operator.actor, operator, 'committee.change/1', { add }), operator,
  );
  t.true(await cluster.until(() => areIn(cluster, 2), 5000));
  t.is(cluster.at(3).core.replica.author, 3);
  t.is(cluster.at(0).core.replica.committee.at(3).actor, who.actor);
  const bare = await cluster.put(3, 'in a block of its own', 'x', false);
  t.true(await cluster.until(() => verdictOf(cluster.at(0), bare) === 'applied', 5000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a node that does not hold the new key follows until it does', async (t) => {
  const next = freshKey('six');
  const keys = new Map<string, typeof next>();
  const cluster = await SimCluster.start({ validators: 4, seed: 65, keys });
  const who = validator(cluster, 2);
  await rotate(cluster, 0, who, who, next);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  t.true(cluster.at(2).core.replica.lacksKey);
  t.is(cluster.at(2).core.replica.author, undefined);
  t.is(codeOf(await t.throwsAsync(cluster.put(2, 'without'))), 'key_not_held');
  await cluster.put(0, 'others go on');
  t.true(await cluster.until(() => cluster.haveFinal(2), 10_000));
  t.is(cluster.at(2).core.replica.last?.round, 0);
  keys.set(next.id, next);
  cluster.at(2).core.keysChanged();
  const id = await cluster.put(2, 'with it', 'x', false);
  t.true(await cluster.until(() => verdictOf(cluster.at(0), id) === 'applied', 10_000));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
