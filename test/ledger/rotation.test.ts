import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { encodeBlock, sealBlock } from '#ledger/block.ts';
import { encodeVote, signCheckpoint } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import { entryOf } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
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
import { fill } from '#test/support/snapshots.ts';
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

test('what a node authors after its own rotation is signed by the new key', async (t) => {
  const next = freshKey('own turn');
  const keys = new Map([[next.id, next]]);
  const cluster = await SimCluster.start({ validators: 4, seed: 65, write_ms: 1, keys });
  const who = validator(cluster, 1);
  const before = await cluster.put(1, 'before');
  const { core } = cluster.at(1);
  const author = (isSigned: boolean) => core.author('kv.put/1', put('after'), isSigned);
  const about = { chain: cluster.net.chain.id, actor: who.actor, key: who.actor };
  const body = await rotateBody(about, next);
  const turning = core.author(ROTATE_KIND, body, true);
  // some before the rotation, some while it is on its way to the pool
  const meanwhile: Promise<Entry>[] = [];
  for (let i = 0; i < 20; i++) {
    meanwhile.push(author(i % 2 === 0));
    await (i % 4 === 3 ? setImmediate() : Promise.resolve());
  }
  const { id: rotation } = await cluster.during(turning);
  const after = await cluster.during(Promise.all([author(true), author(false)]));
  const others = await cluster.during(Promise.all(meanwhile));
  const ids = [before, rotation, ...[...others, ...after].map(({ id }) => id)];
  t.true(await cluster.until(() => cluster.haveFinal(ids.length), 10_000));
  t.deepEqual(ids.map((id) => verdictOf(cluster.at(0), id)), ids.map(() => 'applied'));
  t.deepEqual(after.map(({ event }) => event.key), after.map(() => next.id));
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a node whose rotation cannot be final says so, and acknowledges nothing', async (t) => {
  const next = freshKey('cut off');
  const keys = new Map([[next.id, next]]);
  const cluster = await SimCluster.start({ validators: 4, seed: 66, keys });
  const who = validator(cluster, 1);
  const others = ['peer-0', 'peer-2', 'peer-3'];
  cluster.hub.partition(['peer-1'], others);
  await rotate(cluster, 1, who, who, next);
  const refused = await t.throwsAsync(cluster.put(1, 'cut off'));
  t.is(codeOf(refused), 'key_rotating');
  cluster.hub.healAll();
  const late = await cluster.put(1, 'healed');
  t.true(await cluster.until(() => verdictOf(cluster.at(0), late) === 'applied', 10_000));
  t.deepEqual(cluster.troubles(), []);
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
  const add = [{ actor: Uint8Array.fromHex(who.actor) }];
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

test('a stolen old key of a validator seals, votes and says nothing', async (t) => {
  const next = freshKey('seven');
  const keys = new Map([[next.id, next]]);
  const cluster = await SimCluster.start({ validators: 4, seed: 66, keys });
  const who = validator(cluster, 3);
  await rotate(cluster, 0, who, who, next);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => cluster.haveFinal(2), 5000));
  const { core } = cluster.at(0);
  const { committee } = core.replica;
  const { id: chain } = cluster.net.chain;
  const parents = [3, 0, 1, 2].map((author) => {
    return { round: 0, author, id: genesisBlockId(chain, committee, author) };
  });
  const draft = {
    chain, epoch: 1, committee: committee.id, round: 1, author: 3,
    ts_ms: cluster.clock.wall_ms(), parents,
  };
  const event = (key?: string) => entryOf({
    chain, actor: who.actor, ...(key !== undefined && { key }), lane: 9, seq: 1, kind: 'kv.put/1',
    body: put('x'), hlc: [0, 0],
  });
  const codeOfBlock = async (signer: typeof next.signer, key?: string): Promise<string> => {
    const block = await sealBlock(draft, [event(key)], [], signer);
    const taken = core.intake.take(encodeBlock(block), 'peer-3');
    return taken.then(String, (error: unknown) => codeOf(error));
  };
  t.is(await codeOfBlock(who.signer, next.id), 'bad_block_signature');
  t.is(await codeOfBlock(who.signer), 'unsigned');
  t.is(await codeOfBlock(next.signer), 'unsigned', 'not for the old key either');
  const saidOf = async (signer: typeof next.signer): Promise<string> => {
    const { checkpoint } = core.certifier.endOf(0) as Certificate;
    const { root, state } = checkpoint;
    const more = { epoch: 1, cut: 'idle', size: 900, root: state, state: root } as const;
    const { id: _id, bytes: _bytes, nextCommittee: _next, ...rest } = checkpoint;
    const vote = await signCheckpoint(makeCheckpoint({ ...rest, ...more }), 3, signer);
    const said = core.certifier.take(encodeVote(vote));
    return cluster.during(said.then(String, (error: unknown) => codeOf(error)));
  };
  t.is(await saidOf(who.signer), 'bad_checkpoint_signature');
  t.is(await saidOf(next.signer), 'accept');
  await cluster.run(1000);
  t.is(core.replica.fold.size, 2);
  await cluster.stop();
});

test('a validator that slept through its rotation comes back by a snapshot', async (t) => {
  const next = freshKey('eight');
  const keys = new Map([[next.id, next]]);
  const config = { sync: 'snapshot' as const };
  const cluster = await SimCluster.start({ validators: 4, seed: 67, keys, config });
  const who = validator(cluster, 3);
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.run(20);
  const bare = await cluster.put(3, 'bare, by the old key', 'x', false);
  const kept = await cluster.put(3, 'signed by the old key');
  await rotate(cluster, 0, who, who, next);
  t.true(await cluster.until(() => areIn(cluster, 1, [0, 1, 2]), 10_000));
  await fill(cluster, 240, [0, 1, 2], 6);
  cluster.hub.healAll();
  t.true(await cluster.until(() => areIn(cluster, 1), 30_000));
  t.true(cluster.at(3).core.replica.counters.finals < 240, 'not folded again');
  for (const id of [bare, kept]) {
    t.true(await cluster.until(() => verdictOf(cluster.at(0), id) !== undefined, 20_000));
    t.is(verdictOf(cluster.at(0), id), 'key_retired');
  }
  const last = await cluster.put(3, 'by the new key', 'x', false);
  t.true(await cluster.until(() => verdictOf(cluster.at(0), last) === 'applied', 10_000));
  t.is(cluster.at(3).core.replica.author, 3);
  t.true(await cluster.until(() => new Set(cluster.summaries()).size === 1, 5000));
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});
