import test from 'ava';
import { encodeVote, formCertificate, signCheckpoint } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { encode } from '#ledger/codec.ts';
import { Committee, encodeValidators } from '#ledger/committee.ts';
import { storeKeys } from '#ledger/keys.ts';
import { certifiersOf, cut } from '#test/support/certifier.ts';
import type { MadeCertifier } from '#test/support/certifier.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** A network that grew from its founder to four: in epoch 0 the founder alone is a quorum. */
const net = seededNet(1, 1, 'founder');
const founder = net.validators[0] as TestActor;
const grown = seededNet(4, 1, 'grown');
const validators = [...net.chain.committee.validators, ...grown.chain.committee.validators];
const next = new Committee(1, validators.slice(0, 4));
const seats = [founder, ...grown.validators.slice(0, 3)];
const certifierOf = await certifiersOf(net.chain);

const early = makeCheckpoint({
  chain: net.chain.id,
  epoch: 0,
  cut: 'periodic',
  size: 20,
  root: '11'.repeat(32),
  state: '22'.repeat(32),
  commit: { index: 9, id: '33'.repeat(32) },
  ts_ms: 1_767_225_600_000,
  prev: net.chain.id,
});
const end = makeCheckpoint({
  ...early,
  cut: 'epoch',
  size: 50,
  nextCommittee: next.id,
  prev: early.id,
});
const after = makeCheckpoint({ ...early, epoch: 1, size: 60, prev: end.id });
const idleAt = (size: number): Checkpoint => makeCheckpoint({ ...early, cut: 'idle', size });
const far = idleAt(Number.MAX_SAFE_INTEGER);

/** What the founder, or a thief of its key, could sign for epoch 0. */
const lies: readonly (readonly [string, Checkpoint])[] = [
  ['another state at its end', makeCheckpoint({ ...end, state: '44'.repeat(32) })],
  ['a log without end', far],
  ['an end before', makeCheckpoint({ ...end, size: 40 })],
  ['an end after', makeCheckpoint({ ...end, size: 70 })],
  ['another checkpoint on the way', makeCheckpoint({ ...early, state: '44'.repeat(32) })],
  ['one on the way that nobody made', makeCheckpoint({ ...early, size: 21 })],
  ['the idle tail', idleAt(49)],
];

async function signed(checkpoint: Checkpoint): Promise<{ vote: Uint8Array; whole: Uint8Array }> {
  const vote = await signCheckpoint(checkpoint, 0, founder.signer);
  const certificate = formCertificate(checkpoint, [vote], net.chain.committee);
  return { vote: encodeVote(vote), whole: certificate?.bytes ?? new Uint8Array() };
}

/** A validator of epoch 1 that has folded epoch 0; closed once it takes the end. */
function grownCertifier(): Promise<MadeCertifier> {
  return certifierOf(seats[2] as TestActor, [
    [storeKeys.committee(1), encode(encodeValidators(next.validators))],
    [storeKeys.ownCheckpoint(early), early.bytes],
    [storeKeys.ownCheckpoint(end), end.bytes],
  ]);
}

test('the committee of a closed epoch decides nothing any more', async (t) => {
  for (const [what, lie] of lies) {
    const { vote, whole } = await signed(lie);
    for (const form of ['vote', 'certificate']) {
      const made = await grownCertifier();
      const { certifier } = made;
      await certifier.take((await signed(end)).vote);
      const rows = new Map(made.store.rows);
      if (form === 'vote') t.is(await certifier.take(vote), 'ignore', what);
      else t.true((await certifier.takeCertificate(whole)) <= end.size, what);
      t.deepEqual(new Map(made.store.rows), rows, `${form} for ${what} writes nothing`);
      t.is(certifier.endOf(0)?.checkpoint.id, end.id);
      t.is(certifier.latest?.checkpoint.id, end.id);
      t.is(certifier.diverged, undefined);
      t.is(certifier.votes.size, 0);
      await cut(made, after);
      t.deepEqual(made.sent.map(({ checkpoint }) => checkpoint.id), [after.id], 'it goes on');
    }
  }
});

test('own checkpoints of a closed epoch may still be certified', async (t) => {
  const { certifier } = await grownCertifier();
  await certifier.take((await signed(end)).vote);
  t.is(await certifier.takeCertificate((await signed(early)).whole), early.size);
  t.is((await certifier.at(early.size))?.checkpoint.id, early.id);
  t.is(certifier.latest?.checkpoint.id, end.id);
  t.is(await certifier.take((await signed(early)).vote), 'ignore');
});

test('votes under verification while an epoch ends come too late', async (t) => {
  const made = await grownCertifier();
  const [first, ...late] = await Promise.all([end, ...lies.map(([, lie]) => lie)].map(signed));
  const { certifier } = made;
  await Promise.all([first, ...late].map((one) => certifier.take(one?.vote ?? new Uint8Array())));
  t.is(certifier.endOf(0)?.checkpoint.id, end.id);
  t.is(certifier.diverged, undefined);
  t.is(certifier.latest?.checkpoint.id, end.id);
  t.is(certifier.votes.size, 0);
});

test('the end of an epoch takes back what its committee certified beyond it', async (t) => {
  const made = await grownCertifier();
  const { certifier } = made;
  await certifier.take((await signed(far)).vote);
  t.is(certifier.latest?.checkpoint.id, far.id, 'while it is the committee its word counts');
  await certifier.take((await signed(end)).vote);
  t.is(certifier.latest?.checkpoint.id, end.id);
  t.is(await certifier.covering(51), undefined);
  const again = await certifierOf(seats[2] as TestActor, made.store.rows);
  t.is(again.certifier.latest?.checkpoint.id, end.id, 'also after a restart');
  await cut(again, after);
  t.is(again.sent.length, 1);
});

test('the first end of an epoch stays in the store', async (t) => {
  const { certifier } = await grownCertifier();
  await certifier.take((await signed(end)).vote);
  const other = makeCheckpoint({ ...end, size: 40 });
  const vote = await signCheckpoint(other, 0, founder.signer);
  const forged = formCertificate(other, [vote], net.chain.committee);
  if (forged) await certifier.store.keep(forged);
  t.is(certifier.endOf(0)?.checkpoint.id, end.id);
});
