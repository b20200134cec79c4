import test from 'ava';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint, CheckpointParts } from '#ledger/checkpoint.ts';
import type { Vote } from '#ledger/certificate.ts';
import { Votes } from '#ledger/votes.ts';

const at = (size: number, change: Partial<CheckpointParts> = {}): Checkpoint =>
  makeCheckpoint({
    chain: '00'.repeat(32),
    epoch: 0,
    cut: 'periodic',
    size,
    root: '11'.repeat(32),
    state: '22'.repeat(32),
    commit: { index: 9, id: '33'.repeat(32) },
    ts_ms: 1,
    prev: '00'.repeat(32),
    ...change,
  });
const by = (author: number, checkpoint: Checkpoint): Vote => ({
  checkpoint,
  author,
  sign1: Uint8Array.of(author),
});

test('votes of two epochs are held; those of the oldest give way', (t) => {
  const votes = new Votes();
  for (const epoch of [3, 4]) for (const author of [0, 1]) votes.add(by(author, at(9, { epoch })));
  t.is(votes.size, 4);
  votes.add(by(0, at(9, { epoch: 5 })));
  t.is(votes.size, 3);
  t.deepEqual(votes.tallies(at(9, { epoch: 3 })), []);
  votes.add(by(0, at(9, { epoch: 2 })));
  t.is(votes.size, 3, 'an older one is not held at all');
});

test('votes are dropped by their slot, whatever they say there', (t) => {
  const votes = new Votes();
  for (const author of [0, 1, 2]) {
    for (const size of [1, 2, 3]) votes.add(by(author, at(size)));
    votes.add(by(author, at(2, { state: '44'.repeat(32) })));
  }
  t.is(votes.size, 12);
  votes.drop(({ size }) => size <= 2);
  t.is(votes.size, 3);
  t.is(votes.tallies(at(3))[0]?.signatures.size, 3);
});

test('far ahead of this node an author holds two votes, its newest; near it 32', (t) => {
  const votes = new Votes();
  const near = at(100);
  votes.add(by(0, near), 1000);
  for (let i = 1; i <= 20; i++) votes.add(by(0, at(1000 + i)), 1000);
  t.is(votes.size, 3);
  t.is(votes.tallies(near).length, 1, 'they cost it none that is near');
  t.is(votes.tallies(at(1020)).length, 1);
  for (let i = 101; i <= 200; i++) votes.add(by(0, at(i)), 1000);
  t.is(votes.size, 32);
});

test('what is given holds votes of every author, whatever one of them has piled up', (t) => {
  const votes = new Votes();
  const [wanted, end] = [at(50), at(60, { cut: 'epoch', nextCommittee: 'aa'.repeat(32) })];
  for (const author of [1, 2, 3]) votes.add(by(author, wanted));
  for (const author of [1, 2]) votes.add(by(author, end));
  for (let i = 0; i < 32; i++) votes.add(by(0, at(1000 + i)));
  const slots = votes.give([], 4).map(({ author, checkpoint }) => `${author}: ${checkpoint.size}`);
  t.deepEqual(slots.toSorted(), ['0: 1031', '1: 60', '2: 60', '3: 50']);
  t.is(votes.give([], 1000).length, votes.size);
  const first = votes.on(end, 2);
  t.deepEqual(first.map(({ author }) => author), [2, 1]);
  t.deepEqual(votes.give(first, 2), first);
  t.is(votes.give(first, 1000).length, votes.size, 'none twice');
});
