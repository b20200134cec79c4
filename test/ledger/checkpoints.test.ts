import test from 'ava';
import { encodeVote, signCheckpoint, verifyCertificate } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import { directVerifier } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { SimNode } from '#test/support/sim-cluster.ts';

const latest = ({ core }: SimNode): Certificate | undefined => core.certifier.latest;
const isCertified = (cluster: SimCluster, size: number, nodes = cluster.nodes): boolean =>
  nodes.every((node) => latest(node)?.checkpoint.size === size);

/** Another checkpoint of the same slot, signed by a validator. */
async function otherVote(
  { net }: SimCluster,
  checkpoint: Checkpoint,
  author: number,
): Promise<Uint8Array> {
  const other = makeCheckpoint({ ...checkpoint, state: 'ee'.repeat(32) });
  const { signer } = net.validators[author] as TestActor;
  return encodeVote(await signCheckpoint(other, author, signer));
}

function evidenceOf({ store }: SimNode): string[] {
  const { gte, lt } = prefixRange('h/evidence/');
  return [...store.rows.keys()].filter((key) => key >= gte && key < lt);
}

test('every node certifies the same checkpoints of a quiet log, which stays quiet', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  await cluster.join('observer', cluster.net.operators[0] as TestActor);
  await cluster.put(0, 'first');
  t.true(await cluster.until(() => isCertified(cluster, 1), 10_000));
  t.is(latest(cluster.at(0))?.checkpoint.cut, 'periodic', 'the first commit is long after nothing');
  await cluster.put(1, 'second');
  await cluster.put(2, 'third');
  t.true(await cluster.until(() => cluster.haveFinal(3), 5000));
  await cluster.run(300);
  const sealed = cluster.sealed();
  t.true(await cluster.until(() => isCertified(cluster, 3), 5000));
  t.is(latest(cluster.at(0))?.checkpoint.cut, 'idle');
  t.is(new Set(cluster.nodes.map((node) => latest(node)?.checkpoint.id)).size, 1);
  await cluster.run(60_000);
  t.is(cluster.sealed(), sealed);
  t.deepEqual(cluster.troubles(), []);
  const { committee } = cluster.net.chain;
  for (const node of cluster.nodes) {
    await verifyCertificate(latest(node) as Certificate, committee, await directVerifier());
    const { signed } = node.core.certifier.counters;
    t.is(signed, node.who === cluster.net.operators[0] ? 0 : 2);
  }
  await cluster.stop();
});

test('an idle certificate goes when a later one covers it; those of the chain stay', async (t) => {
  const cluster = await SimCluster.start({ validators: 1 });
  const { certifier } = cluster.at(0).core;
  const idle: number[] = [];
  certifier.onCertified(({ checkpoint: { cut, size } }) => cut === 'idle' && idle.push(size));
  for (let i = 0; i < 12; i++) {
    await cluster.put(0, `${i}`);
    await cluster.run(2500);
  }
  const held = (await certifier.store.certificatesFrom(1, 100)).map((one) => one.checkpoint);
  const chained = held.filter(({ cut }) => cut !== 'idle');
  t.true(chained.length >= 3 && idle.length >= 6);
  let prev = cluster.net.chain.id;
  for (const checkpoint of chained) {
    t.is(checkpoint.prev, prev);
    prev = checkpoint.id;
  }
  const last = held.at(-1) as Checkpoint;
  t.is(last.size, 12);
  t.is(held.length, chained.length + (last.cut === 'idle' ? 1 : 0));
  for (const size of idle.slice(0, -1)) t.is(await certifier.at(size), undefined);
  await cluster.stop();
});

test('lost votes are asked for; a node that was away gets the certificates', async (t) => {
  const cluster = await SimCluster.start(
    { validators: 4, link: { loss: 0.5 }, seed: 5 },
    [3],
  );
  for (let i = 0; i < 4; i++) {
    await cluster.put(i % 3, `${i}`);
    t.true(await cluster.until(() => isCertified(cluster, i + 1), 120_000), `certificate ${i}`);
    await cluster.run(11_000);
  }
  const late = await cluster.join('peer-3', cluster.net.validators[3] as TestActor);
  t.true(await cluster.until(() => isCertified(cluster, 4), 60_000));
  t.true(await cluster.until(() => late.core.replica.fold.size === 4, 60_000));
  const heldBy = async ({ core }: SimNode) =>
    (await core.certifier.store.certificatesFrom(1, 100)).map((one) => one.checkpoint.id);
  const held = await heldBy(late);
  t.true(held.length >= 2);
  t.deepEqual(held, await heldBy(cluster.at(0)));
  t.is(late.core.certifier.counters.signed, 0, 'what is certified needs no vote');
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('f + 1 votes for another digest halt finality for good; events are accepted', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => isCertified(cluster, 1), 10_000));
  const node = cluster.at(0);
  const { checkpoint } = latest(node) as Certificate;
  await node.core.certifier.take(await otherVote(cluster, checkpoint, 1));
  t.is(node.core.certifier.diverged, undefined, 'one may lie');
  await node.core.certifier.take(await otherVote(cluster, checkpoint, 2));
  const { diverged } = node.core.certifier;
  t.like(diverged, { size: 1, cut: 'periodic', own: checkpoint.id });
  t.not(diverged?.theirs, checkpoint.id);
  t.true(node.core.replica.isHalted);
  t.is(evidenceOf(node).length, 2);
  t.truthy(node.store.get(storeKeys.ownCheckpoint(checkpoint)), 'its own is kept too');

  await cluster.put(0, 'b');
  t.true(await cluster.until(() => cluster.haveFinal(2, [1, 2, 3]), 10_000));
  t.is(node.core.replica.fold.size, 1);
  const rows = await cluster.crash(0);
  await cluster.restart(0, rows);
  await cluster.put(0, 'c');
  t.true(await cluster.until(() => cluster.haveFinal(3, [1, 2, 3]), 20_000), 'others go on');
  t.like(cluster.at(0).core.certifier.diverged, { own: checkpoint.id });
  t.is(cluster.at(0).core.replica.fold.size, 1);
  await cluster.stop();
});

test('where finality is halted, no block is made or kept, and events are accepted', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 9 });
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => cluster.haveFinal(1), 10_000));
  const { replica, antiEntropy } = cluster.at(3).core;
  replica.haltFinality();
  const held = replica.orderer.dag.size;
  for (let i = 0; i < 40; i++) {
    await cluster.put(i % 4, `k${i}`);
    await cluster.run(50);
  }
  t.true(await cluster.until(() => cluster.haveFinal(41, [0, 1, 2]), 20_000), 'also its own');
  t.is(replica.orderer.dag.size, held);
  t.is(replica.orderer.openCount, 0);
  t.false(antiEntropy.catchUp.isRunning);
  // and where all stand so, nothing goes round for ever
  for (const { core } of cluster.nodes) core.replica.haltFinality();
  const sealed = cluster.sealed();
  for (let i = 0; i < 4; i++) await cluster.put(i, `late-${i}`);
  await cluster.run(5000);
  t.is(cluster.sealed(), sealed);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a certificate against the own checkpoint halts, also when it was there first', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => isCertified(cluster, 1), 10_000));
  const { checkpoint } = latest(cluster.at(0)) as Certificate;
  const node = await cluster.join('observer', cluster.net.operators[0] as TestActor, []);
  for (const author of [0, 1, 3]) {
    await node.core.certifier.take(await otherVote(cluster, checkpoint, author));
  }
  t.is(latest(node)?.checkpoint.state, 'ee'.repeat(32), 'it knows nothing better yet');
  t.true(await cluster.until(() => node.core.certifier.diverged !== undefined, 20_000));
  t.is(node.core.certifier.diverged?.own, checkpoint.id);
  await cluster.stop();
});

test('two signatures of one validator in a slot are evidence and halt nothing', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 }, [3]);
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => isCertified(cluster, 1), 10_000));
  const node = cluster.at(0);
  const { checkpoint } = latest(node) as Certificate;
  const ahead = { ...checkpoint, size: 9 };
  const one = makeCheckpoint(ahead);
  const { signer } = cluster.net.validators[3] as TestActor;
  await node.core.certifier.take(encodeVote(await signCheckpoint(one, 3, signer)));
  await node.core.certifier.take(await otherVote(cluster, one, 3));
  t.is(node.core.certifier.counters.doubleVotes, 1);
  t.is(evidenceOf(node).length, 2);
  t.is(node.core.certifier.diverged, undefined);
  await cluster.stop();
});

test('a forged, foreign or malformed vote is refused with a code, uncounted', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 }, [3]);
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => isCertified(cluster, 1), 10_000));
  const { certifier } = cluster.at(0).core;
  const { checkpoint } = latest(cluster.at(0)) as Certificate;
  const ahead = makeCheckpoint({ ...checkpoint, size: 2 });
  const { signer } = cluster.net.validators[1] as TestActor;
  const byOther = await signCheckpoint(ahead, 1, signer);
  const foreign = makeCheckpoint({ ...ahead, chain: 'ab'.repeat(32) });
  const refused: [string, Uint8Array][] = [
    ['bad_checkpoint_signature', encodeVote({ ...byOther, author: 2 })],
    ['unknown_author', encodeVote({ ...byOther, author: 4 })],
    ['foreign_chain', encodeVote(await signCheckpoint(foreign, 1, signer))],
    ['not_canonical', encodeVote(byOther).subarray(1)],
    ['wrong_type', Uint8Array.of(0x80)],
  ];
  for (const [code, vote] of refused) await t.throwsAsync(certifier.take(vote), { code });
  t.is(certifier.votes.size, 0);
  t.is(await certifier.take(encodeVote(byOther)), 'accept');
  t.is(await certifier.take(encodeVote(byOther)), 'ignore');
  for (let size = 3; size < 200; size++) {
    const far = makeCheckpoint({ ...checkpoint, size });
    await certifier.take(encodeVote(await signCheckpoint(far, 1, signer)));
  }
  t.is(certifier.votes.size, 32, 'an author has a bounded number of open votes');
  await cluster.stop();
});
