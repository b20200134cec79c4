import test from 'ava';
import { decodeVote, encodeVote, formCertificate, signCheckpoint } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { encode } from '#ledger/codec.ts';
import { Committee, encodeValidators } from '#ledger/committee.ts';
import { X0tError } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import { certifiersOf, cut } from '#test/support/certifier.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

const net = seededNet(4, 1, 'certifier');
const seats = net.validators as readonly [TestActor, TestActor, TestActor, TestActor];

const periodic = makeCheckpoint({
  chain: net.chain.id,
  epoch: 0,
  cut: 'periodic',
  size: 1000,
  root: '11'.repeat(32),
  state: '22'.repeat(32),
  commit: { index: 9, id: '33'.repeat(32) },
  ts_ms: 1_767_225_600_000,
  prev: net.chain.id,
});
const other = makeCheckpoint({ ...periodic, state: '44'.repeat(32) });

const certifierOf = await certifiersOf(net.chain);

const voteOf = async (checkpoint: Checkpoint, author: number): Promise<Uint8Array> => {
  const { signer } = seats[author] as TestActor;
  return encodeVote(await signCheckpoint(checkpoint, author, signer));
};

test('what is signed is in the store before, and survives a power cut then', async (t) => {
  let survivors: ReadonlyMap<string, Uint8Array> | undefined;
  const made = await certifierOf(seats[0], [], (store) => (survivors = store.survivors()));
  await cut(made, periodic);
  t.is(made.sent.length, 1);
  t.is(survivors?.get(storeKeys.signedCheckpoint(periodic))?.toHex(), periodic.id);
});

test('where the store cannot be written nothing is signed', async (t) => {
  const made = await certifierOf(seats[0]);
  const refusal = new X0tError('store_failed', 'The disk is full.');
  made.store.write = () => Promise.reject(refusal);
  await cut(made, periodic);
  t.deepEqual(made.signed, []);
});

test('another checkpoint of a slot that was signed is never signed: finality halts', async (t) => {
  const before = await certifierOf(seats[0]);
  await cut(before, periodic);
  const again = await certifierOf(seats[0], before.store.cutPower());
  await cut(again, periodic);
  t.is(again.sent.length, 1, 'the same one may be signed again');
  const after = await certifierOf(seats[0], again.store.cutPower());
  await cut(after, other);
  t.deepEqual(after.sent, []);
  t.deepEqual(after.signed, []);
  t.deepEqual(after.halts, [1]);
  t.like(after.certifier.diverged, { own: other.id, theirs: periodic.id, size: 1000 });
  const third = await certifierOf(seats[0], after.store.cutPower());
  t.deepEqual(third.halts, [1], 'a restart knows it');
  await cut(third, makeCheckpoint({ ...periodic, size: 2000 }));
  t.deepEqual(third.sent, [], 'and signs nothing more');
});

test('a quorum makes a certificate of its first signatures, whatever their order', async (t) => {
  for (const order of [[3, 2, 1, 0], [1, 3, 0], [2, 0, 1]]) {
    const { certifier, sent } = await certifierOf(net.operators[0] as TestActor);
    const heard: number[] = [];
    certifier.onCertified(({ checkpoint }) => heard.push(checkpoint.size));
    for (const [i, author] of order.entries()) {
      t.is(certifier.latest !== undefined, i >= 3);
      await certifier.take(await voteOf(periodic, author));
    }
    const { latest } = certifier;
    const first = order.slice(0, 3).toSorted((a, b) => a - b);
    t.deepEqual(latest?.signatures.map(({ author }) => author), first);
    t.deepEqual(heard, [1000]);
    t.is(await certifier.take(await voteOf(periodic, 3)), 'ignore', 'nobody needs it any more');
    t.is((await certifier.covering(1))?.checkpoint.id, periodic.id);
    t.is(await certifier.covering(1001), undefined);
    t.deepEqual((await certifier.at(1000))?.bytes, latest?.bytes);
    t.is(certifier.votes.size, 0);
    t.deepEqual(sent, [], 'an observer signs nothing');
  }
});

test('whole certificates are taken from peers, once, and are there after a restart', async (t) => {
  const first = await certifierOf(seats[0]);
  for (const author of [1, 2, 3]) await first.certifier.take(await voteOf(periodic, author));
  const bytes = first.certifier.latest?.bytes ?? new Uint8Array();
  const second = await certifierOf(seats[3]);
  t.is(await second.certifier.takeCertificate(bytes), 1000);
  t.is(await second.certifier.takeCertificate(bytes), 1000);
  t.is(second.certifier.counters.certified, 1);
  await cut(second, periodic);
  t.deepEqual(second.sent, [], 'what is certified needs no vote');
  const restarted = await certifierOf(seats[3], second.store.rows);
  t.is(restarted.certifier.latest?.checkpoint.id, periodic.id);
  const wrong = bytes.slice();
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
  const { certifier } = await certifierOf(seats[0]);
  await t.throwsAsync(certifier.takeCertificate(wrong), { code: 'bad_checkpoint_signature' });
  t.is(certifier.latest, undefined);
});

test('two certificates of one slot halt finality of whoever sees both', async (t) => {
  const bytes: Uint8Array[] = [];
  for (const checkpoint of [periodic, other]) {
    const { certifier } = await certifierOf(net.operators[0] as TestActor);
    for (const author of [0, 1, 2]) await certifier.take(await voteOf(checkpoint, author));
    bytes.push(certifier.latest?.bytes ?? new Uint8Array());
  }
  const seen = await certifierOf(net.operators[0] as TestActor);
  for (const one of bytes) await seen.certifier.takeCertificate(one);
  t.deepEqual(seen.halts, [1]);
  t.is(seen.certifier.diverged?.theirs, other.id);
});

test('the end of an epoch is certified, waited for, and brings the next committee', async (t) => {
  const next = new Committee(1, [1, 0].map((seat) => net.chain.committee.at(seat)));
  const end = makeCheckpoint({ ...periodic, cut: 'epoch', nextCommittee: next.id });
  const kept = [storeKeys.committee(1), encode(encodeValidators(next.validators))] as const;
  const made = await certifierOf(seats[0], [kept]);
  const ended = made.certifier.whenEnded(0);
  await cut(made, end);
  t.is(made.certifier.endOf(0), undefined);
  for (const author of [1, 2]) await made.certifier.take(await voteOf(end, author));
  t.is((await ended).checkpoint.id, end.id);
  t.is((await made.certifier.whenEnded(0)).checkpoint.id, end.id);
  const later = makeCheckpoint({ ...periodic, epoch: 1, size: 1001, prev: end.id });
  await cut(made, later);
  t.is(made.sent.at(-1)?.author, 1, 'its seat in the next committee');
  await made.certifier.take(await voteOf({ ...later }, 1).then((vote) => {
    // signed by seat 1 of the first committee, who has seat 0 now
    return encodeVote({ ...decodeVote(vote), author: 0 });
  }));
  t.is(made.certifier.latest?.checkpoint.id, later.id);
  const unknown = makeCheckpoint({ ...later, epoch: 2 });
  t.is(await made.certifier.take(await voteOf(unknown, 0)), 'ignore', 'no such committee yet');
});

test('a rebuild that gives what the others signed ends the halt; evidence stays', async (t) => {
  const made = await certifierOf(seats[0], [[storeKeys.ownCheckpoint(other), other.bytes]]);
  for (const author of [1, 2]) await made.certifier.take(await voteOf(periodic, author));
  t.deepEqual(made.halts, [1]);
  const before = await certifierOf(seats[0], made.store.rows);
  t.deepEqual(before.halts, [1]);
  made.store.rows.set(storeKeys.ownCheckpoint(periodic), periodic.bytes);
  const mended = await certifierOf(seats[0], made.store.rows);
  t.deepEqual(mended.halts, []);
  t.is(mended.certifier.diverged, undefined);
  t.is([...mended.store.rows.keys()].filter((key) => key.startsWith('h/evidence/')).length, 2);
});

test('of idle certificates the largest is held, in whatever order they come', async (t) => {
  const idle = [1010, 1005, 1020, 1015].map((size) => {
    return makeCheckpoint({ ...periodic, cut: 'idle', size, prev: periodic.id });
  });
  const source = await certifierOf(net.operators[0] as TestActor);
  const heard: number[] = [];
  source.certifier.onCertified(({ checkpoint }) => heard.push(checkpoint.size));
  for (const checkpoint of idle) {
    const votes = await Promise.all([0, 1, 2].map((author) => voteOf(checkpoint, author)));
    const whole = formCertificate(checkpoint, votes.map(decodeVote), net.chain.committee);
    await source.certifier.takeCertificate(whole?.bytes ?? new Uint8Array());
  }
  const held = async () => {
    const found = await source.certifier.store.certificatesFrom(1, 10);
    return found.map(({ checkpoint }) => checkpoint.size);
  };
  t.deepEqual(await held(), [1020]);
  t.deepEqual(heard, [1010, 1020]);
  const later = makeCheckpoint({ ...periodic, size: 2000, prev: periodic.id });
  for (const author of [0, 1, 2]) await source.certifier.take(await voteOf(later, author));
  t.deepEqual(await held(), [2000], 'none is left behind');
});

test('a late idle certificate that speaks against this node still halts finality', async (t) => {
  const [smaller, larger] = [1005, 1010].map((size) => {
    return makeCheckpoint({ ...periodic, cut: 'idle', size });
  }) as [Checkpoint, Checkpoint];
  const observer = await certifierOf(net.operators[0] as TestActor);
  for (const author of [0, 1, 2]) await observer.certifier.take(await voteOf(smaller, author));
  const bytes = observer.certifier.latest?.bytes ?? new Uint8Array();
  const own = makeCheckpoint({ ...smaller, state: '44'.repeat(32) });
  const made = await certifierOf(seats[3], [[storeKeys.ownCheckpoint(own), own.bytes]]);
  for (const author of [0, 1, 2]) await made.certifier.take(await voteOf(larger, author));
  await made.certifier.takeCertificate(bytes);
  t.like(made.certifier.diverged, { own: own.id, theirs: smaller.id });
});

test('a certificate drops the votes on what it covers, but for the end of an epoch', async (t) => {
  const { certifier } = await certifierOf(net.operators[0] as TestActor);
  const nextCommittee = 'aa'.repeat(32);
  const end = makeCheckpoint({ ...periodic, cut: 'epoch', size: 900, nextCommittee });
  for (const checkpoint of [
    makeCheckpoint({ ...periodic, size: 700 }),
    makeCheckpoint({ ...periodic, cut: 'idle', size: 800 }),
    makeCheckpoint({ ...periodic, size: 1001 }),
    other,
    end,
  ]) await certifier.take(await voteOf(checkpoint, 3));
  for (const author of [0, 1, 2]) await certifier.take(await voteOf(periodic, author));
  t.is(certifier.latest?.checkpoint.id, periodic.id);
  t.is(certifier.votes.size, 2);
  t.is(certifier.votes.tallies(end).length, 1);
  for (const author of [0, 1]) await certifier.take(await voteOf(end, author));
  t.is(certifier.endOf(0)?.checkpoint.id, end.id);
  t.is(certifier.votes.size, 0);
});

test('who was mended stays so when the checkpoint is pruned, and leaves its slot', async (t) => {
  const before = await certifierOf(seats[0]);
  await cut(before, other);
  for (const author of [1, 2]) await before.certifier.take(await voteOf(periodic, author));
  t.deepEqual(before.halts, [1]);
  before.store.rows.set(storeKeys.ownCheckpoint(periodic), periodic.bytes);
  const mended = await certifierOf(seats[0], before.store.rows);
  mended.certifier.start();
  await mended.certifier.settled();
  t.deepEqual([mended.halts, mended.sent], [[], []], 'it signed another one there');
  mended.store.rows.delete(storeKeys.ownCheckpoint(periodic));
  const pruned = await certifierOf(seats[0], mended.store.rows);
  t.deepEqual(pruned.halts, []);
  await cut(pruned, makeCheckpoint({ ...periodic, size: 2000 }));
  t.is(pruned.sent.length, 1, 'and signs later ones');
});
