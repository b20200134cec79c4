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
