import test from 'ava';
import { encodeBlock, sealBlock } from '#ledger/block.ts';
import { codeOf } from '#ledger/errors.ts';
import { signEvent } from '#ledger/event.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import { storeKeys } from '#ledger/keys.ts';
import { RETURN_KIND } from '#ledger/returning.ts';
import {
  areIn,
  changeCommittee,
  differing,
  epochOf,
  joining,
  logOf,
  newcomer,
} from '#test/support/epochs.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** What is under way when an epoch ends is final once, in the next; nothing from outside fits. */

test('events in unordered blocks are carried again: bare, or signed by who left', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 61 });
  const others = [0, 1, 2, 3].flatMap((i) => cluster.net.validators[i] ?? []);
  const leaving = others[3];
  if (!leaving) throw new Error('no validator');
  const ids: string[] = [await changeCommittee(cluster, 0, [], [leaving])];
  // a steady stream of bare events over the end: some stand in blocks that no commit orders
  while (!cluster.at(3).core.replica.orderer.isEnded && ids.length < 200) {
    ids.push(await cluster.put(3, `left-${ids.length}`, 'x', false));
    ids.push(await cluster.put(1, `stays-${ids.length}`, 'x', false));
    await cluster.run(1);
  }
  const late = await cluster.put(3, 'after the end', 'x', false);
  ids.push(late);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  t.true(await cluster.until(() => cluster.haveFinal(ids.length), 20_000));
  t.deepEqual(logOf(cluster.at(2)).toSorted(), ids.toSorted());
  const finals = [...cluster.at(0).core.log.range(1, 1000)];
  const inNext = finals.filter(({ seq }) => seq > sizeAtEnd(cluster));
  const ofLeaver = inNext.filter(({ entry }) => entry.event.actor === leaving.actor);
  const ofStayer = inNext.filter(({ entry }) => entry.event.actor === others[1]?.actor);
  t.true(ofLeaver.length > 0 && ofLeaver.every(({ entry }) => entry.sign1 !== undefined));
  t.true(ofStayer.length > 0 && ofStayer.every(({ entry }) => entry.sign1 === undefined));
  t.is(new Set(cluster.summaries()).size, 1);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

/** Final events when epoch 0 ended. */
function sizeAtEnd(cluster: SimCluster): number {
  return cluster.at(0).core.certifier.endOf(0)?.checkpoint.size ?? 0;
}

test('an event that was final in one epoch is not final again in the next', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 62 }, [3]);
  const operator = cluster.net.operators[0];
  const rogue = cluster.net.validators[3];
  if (!operator || !rogue) throw new Error('no actors');
  const draft = {
    chain: cluster.net.chain.id,
    actor: operator.actor,
    lane: 3,
    seq: 1,
    kind: 'kv.put/1',
    hlc: [0, 0] as const,
  };
  const value = Uint8Array.of(1);
  const first = await signEvent({ ...draft, body: { key: 'once', value } }, operator.signer);
  const again = await signEvent({ ...draft, body: { key: 'twice', value } }, operator.signer);
  await cluster.during(cluster.at(0).core.submit(first.bytes, operator.coseKey));
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  await changeCommittee(cluster, 0, [joining(newcomer(0), 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  // a validator carries both in the new epoch: the same event, and another with its lane and seq
  const { committee } = cluster.at(0).core.replica;
  const { id: chain } = cluster.net.chain;
  const parents = [3, 0, 1, 2, 4].map((author) => ({
    round: 0,
    author,
    id: genesisBlockId(chain, committee, author),
  }));
  const header = {
    chain,
    epoch: 1,
    committee: committee.id,
    round: 1,
    author: 3,
    ts_ms: cluster.clock.wall_ms(),
    parents,
  };
  const block = await sealBlock(header, [first, again], [operator.coseKey], rogue.signer);
  for (const i of [0, 1, 2]) {
    await cluster.at(i).core.intake.take(encodeBlock(block), 'peer-3');
  }
  await cluster.put(0, 'drives');
  t.true(await cluster.until(() => cluster.haveFinal(4), 10_000));
  const log = [...cluster.at(1).core.log.range(1, 10)].map(({ entry, verdict }) => ({
    id: entry.id,
    verdict,
  }));
  t.is(log.filter(({ id }) => id === first.id).length, 1);
  t.is(log.find(({ id }) => id === again.id)?.verdict, 2, 'its lane and seq were used');
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('early blocks of the next epoch are kept within bounds', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 63 });
  // peer-3 hears of everything but certificates
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2']);
  await cluster.run(10);
  const node = await cluster.join('peer-4', newcomer(0));
  cluster.hub.cut('peer-3', 'peer-4');
  await cluster.run(50);
  await changeCommittee(cluster, 0, [joining(node.who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1, [0, 1, 2, 4]), 5000));
  for (let i = 0; i < 4; i++) await cluster.put(i % 3, `k${i}`);
  t.true(await cluster.until(() => cluster.haveFinal(5, [0, 1, 2, 4]), 5000));
  const { intake, replica } = cluster.at(3).core;
  for (let i = 0; i < 400; i++) {
    // nothing of it can be checked: not even that it is a block of this network
    const bytes = encodeBlock(await blockOfNext(cluster, i));
    t.is(await intake.take(bytes, undefined), 'ignore');
  }
  t.is(intake.counters.blocksDropped, 400 - 64);
  t.is(replica.committee.epoch, 0);
  cluster.hub.healAll();
  t.true(await cluster.until(() => cluster.haveFinal(5), 20_000));
  t.is(epochOf(cluster.at(3)), 1);
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

/** A block that claims to be of epoch 1, by nobody's key. */
let sealedForgery: ReturnType<typeof sealBlock> | undefined;
async function blockOfNext(cluster: SimCluster, i: number) {
  const { chain, operators } = cluster.net;
  sealedForgery ??= sealBlock(
    {
      chain: chain.id,
      epoch: 1,
      committee: 'ab'.repeat(32),
      round: 1,
      author: 0,
      ts_ms: i,
      parents: [{ round: 0, author: 0, id: 'cd'.repeat(32) }],
    },
    [],
    [],
    operators[0]?.signer as never,
  );
  return sealedForgery;
}

test('a forged certificate, or one of too few, leads nobody into an epoch', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 64 });
  await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  await changeCommittee(cluster, 0, [joining(newcomer(0), 'peer-4')]);
  t.true(await cluster.until(() => cluster.at(0).core.replica.orderer.isEnded, 5000));
  const rows = [...cluster.at(0).store.rows];
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  const good = cluster.at(1).core.certifier.endOf(0)?.bytes as Uint8Array;
  await cluster.crash(0);
  cluster.hub.partition(['peer-0'], ['peer-1', 'peer-2', 'peer-3', 'peer-4']);
  await cluster.restart(0, rows);
  const { certifier } = cluster.at(0).core;
  const take = async (bytes: Uint8Array): Promise<string> => {
    try {
      await cluster.during(certifier.takeCertificate(bytes));
      return 'taken';
    } catch (error) {
      return codeOf(error);
    }
  };
  const flipped = good.slice();
  flipped[flipped.length - 9] = (flipped.at(-9) as number) ^ 1;
  t.is(await take(flipped), 'bad_checkpoint_signature');
  await cluster.run(2000);
  t.is(epochOf(cluster.at(0)), 0);
  t.is(certifier.committeeOf(1)?.size, 5);
  t.is(certifier.committeeOf(1)?.base, undefined, 'not known before the certificate');
  t.is(await take(good), 'taken');
  t.is(certifier.committeeOf(1)?.base, certifier.endOf(0)?.checkpoint.id);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  await cluster.stop();
});

test('a validator whose store was lost seals again in the epoch after it said so', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 65 });
  for (let i = 0; i < 4; i++) await cluster.put(i, `k${i}`);
  t.true(await cluster.until(() => cluster.haveFinal(4), 5000));
  await cluster.crash(3);
  await cluster.restart(3, [[storeKeys.lost, Uint8Array.of(1)]]);
  t.true(await cluster.until(() => cluster.haveFinal(5), 20_000));
  const told = [...cluster.at(0).core.log.range(1, 10)].at(-1);
  t.is(told?.entry.event.kind, RETURN_KIND);
  await cluster.put(0, 'meanwhile');
  t.true(await cluster.until(() => cluster.haveFinal(6), 5000));
  t.is(cluster.at(3).core.replica.counters.blocksSealed, 0);
  // also after a restart it says it once
  await cluster.restart(3, await cluster.crash(3));
  await cluster.run(5000);
  t.true(cluster.haveFinal(6));
  const node = await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  await changeCommittee(cluster, 0, [joining(node.who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  t.false(cluster.at(3).core.replica.hasForgotten);
  await cluster.put(3, 'back', 'x', false);
  t.true(await cluster.until(() => cluster.haveFinal(8), 5000));
  t.true(cluster.at(3).core.replica.counters.blocksSealed > 0);
  t.is(cluster.at(3).store.get(storeKeys.lost), undefined);
  t.is(cluster.nodes.reduce((sum, { core }) => sum + core.replica.counters.equivocations, 0), 0);
  t.deepEqual(differing(cluster), []);
  await cluster.stop();
});

test('a lost store that has not been told of stays lost over an epoch', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 66 });
  await cluster.put(3, 'before');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  await cluster.crash(3);
  // the others go on into an epoch that did not begin after it has told its loss
  const node = await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  await changeCommittee(cluster, 0, [joining(node.who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1, [0, 1, 2, 4]), 10_000));
  await cluster.restart(3, [[storeKeys.lost, Uint8Array.of(1)]]);
  t.true(await cluster.until(() => areIn(cluster, 1), 20_000));
  t.true(cluster.at(3).core.replica.hasForgotten);
  await cluster.put(0, 'more');
  t.true(await cluster.until(() => cluster.haveFinal(4), 10_000));
  t.is(cluster.at(3).core.replica.counters.blocksSealed, 0);
  await cluster.stop();
});
