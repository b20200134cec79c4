import test from 'ava';
import { decodeVote, encodeVote, signCheckpoint } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { encode } from '#ledger/codec.ts';
import type { Network } from '#ledger/ports.ts';
import { CheckpointSync } from '#ledger/sync/checkpoint-sync.ts';
import { certifiersOf, cut } from '#test/support/certifier.ts';
import { silentLog } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { seededNet } from '#test/support/seeded-actor.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';

const net = seededNet(7, 1, 'lost votes');
const certifierOf = await certifiersOf(net.chain);
const seats = net.validators;

const end = makeCheckpoint({
  chain: net.chain.id,
  epoch: 0,
  cut: 'epoch',
  size: 50,
  root: '11'.repeat(32),
  state: '22'.repeat(32),
  commit: { index: 9, id: '33'.repeat(32) },
  ts_ms: 1_767_225_600_000,
  nextCommittee: 'aa'.repeat(32),
  prev: net.chain.id,
});
const { nextCommittee: _, ...rest } = end;
const periodic = makeCheckpoint({ ...rest, cut: 'periodic', size: 40 });

async function voteOf(checkpoint: Checkpoint, author: number): Promise<Uint8Array> {
  const { signer } = seats[author] as TestActor;
  return encodeVote(await signCheckpoint(checkpoint, author, signer));
}

type Answer = (message: Uint8Array) => AsyncIterable<Uint8Array>;

/** A network without peers; `ask` is what one of them would be answered. */
function loneNetwork(): { network: Network; ask: () => Promise<Uint8Array[]> } {
  let answer: Answer | undefined;
  const network = {
    peers: () => [],
    serve: (_protocol: string, handler: Answer) => {
      answer = handler;
    },
  } as unknown as Network;
  return { network, ask: () => Array.fromAsync(answer?.(encode({ from: 0 })) ?? []) };
}

const entropy = { bytes: (count: number) => new Uint8Array(count) };

test('the vote on the end of an epoch goes out again until it is certified', async (t) => {
  const made = await certifierOf(seats[0] as TestActor);
  const clock = new VirtualClock(0);
  const { network } = loneNetwork();
  const sync = new CheckpointSync(made.certifier, network, { clock, entropy, log: silentLog });
  const sentIn = async (duration_ms: number): Promise<number> => {
    const before = made.sent.length;
    await clock.run(duration_ms);
    await made.certifier.settled();
    return made.sent.length - before;
  };
  await cut(made, periodic);
  await cut(made, end);
  sync.expect();
  t.is(made.sent.length, 2);
  t.is(await sentIn(700), 0);
  t.is(await sentIn(10_000), 3);
  t.is(await sentIn(75_000), 10);
  const again = made.sent.slice(2);
  t.deepEqual([...new Set(again.map(({ checkpoint }) => checkpoint.id))], [end.id]);
  const forms = new Set(again.map((vote) => encodeVote(vote).toHex()));
  t.is(forms.size, again.length, 'gossip drops what it has seen: each is signed anew');
  for (const author of [1, 2, 3, 4]) await made.certifier.take(await voteOf(end, author));
  t.is(made.certifier.endOf(0)?.checkpoint.id, end.id);
  t.is(await sentIn(60_000), 0);
  sync.stop();
});

test('an answer begins with votes on own cuts, whatever liars have piled up', async (t) => {
  const made = await certifierOf(seats[3] as TestActor);
  const { network, ask } = loneNetwork();
  const clock = new VirtualClock(0);
  new CheckpointSync(made.certifier, network, { clock, entropy, log: silentLog }).serve();
  for (const author of [0, 1]) {
    for (let i = 0; i < 40; i++) {
      const junk = makeCheckpoint({ ...rest, cut: 'idle', size: 1000 + i });
      await made.certifier.take(await voteOf(junk, author));
      const far = makeCheckpoint({ ...rest, cut: 'idle', size: 10 ** 9 + i });
      if (i % 10 === 0) await made.certifier.take(await voteOf(far, author));
    }
  }
  await made.certifier.take(await voteOf(periodic, 2));
  await made.certifier.take(await voteOf(end, 2));
  await cut(made, periodic);
  await cut(made, end);
  const given = (await ask()).map(decodeVote);
  const first = given.slice(0, 4).map(({ author, checkpoint }) => [author, checkpoint.size]);
  t.deepEqual(first, [[3, 50], [2, 50], [3, 40], [2, 40]]);
  t.is(given.length, 4 + 2 * 32);
  t.is(given.filter(({ checkpoint }) => checkpoint.size >= 10 ** 9).length, 2 * 2);
});
