import test from 'ava';
import type { Committee } from '#ledger/committee.ts';
import { encodeBlock, sealBlock } from '#ledger/block.ts';
import type { Block } from '#ledger/block.ts';
import { codeOf } from '#ledger/errors.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import type { Ref } from '#ledger/header.ts';
import { BlockIntake } from '#ledger/intake.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { Verifier } from '#ledger/ports.ts';
import {
  decodeRangeFrame,
  decodeRangeRequest,
  encodeFrontier,
  encodeRangeFrame,
  encodeRangeRequest,
} from '#ledger/sync/messages.ts';
import { VerifiedEntries } from '#ledger/verified.ts';
import { silentLog } from '#test/support/cluster.ts';
import { areIn, changeCommittee, joining, newcomer } from '#test/support/epochs.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import { Rogue } from '#test/support/rogue.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { rememberingVerifier, SimCluster } from '#test/support/sim-cluster.ts';
import type { Rows } from '#test/support/sim-cluster.ts';

/** Catching up, restarts and what is left over where epochs change. */

/** An observer that promises a long log of a later epoch and answers catch-ups by `range`. */
async function promiser(
  cluster: SimCluster,
  range: (from: number) => AsyncIterable<Uint8Array>,
): Promise<FakeNetwork> {
  const rogue = cluster.hub.join('rogue', seededActor('rogue').actor);
  const lie = () =>
    encodeFrontier({
      chain: cluster.net.chain.id,
      epoch: 7,
      newest: [],
      commit: 1e9,
      horizon: 100,
      wall_ms: cluster.clock.wall_ms(),
      waiting: [],
      first: 1,
    });
  rogue.serve('frontier', async function* frontier() {
    yield lie();
  });
  rogue.serve('range', (message) => range(decodeRangeRequest(message).from));
  await rogue.start();
  const tell = async (peer: string): Promise<void> => {
    const limits = { timeout_ms: 1000, responseBytes_max: 1e7 };
    await Array.fromAsync(rogue.request(peer, 'frontier', lie(), limits));
  };
  const again = (): void => {
    for (const { peer } of rogue.peers()) tell(peer).catch(() => undefined);
    if (rogue.running) cluster.clock.after(700, again);
  };
  again();
  return rogue;
}

const pause = (cluster: SimCluster, delay_ms: number): Promise<void> =>
  new Promise((resolve) => void cluster.clock.after(delay_ms, resolve));

/** How long each of some events takes until all validators have it. */
async function latencies(cluster: SimCluster, count: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const start_ms = cluster.clock.monotonic_ms();
    const { size } = cluster.at(0).core.replica.fold;
    await cluster.put(i % 4, `${i}`);
    await cluster.until(() => cluster.haveFinal(size + 1), 60_000);
    all.push(cluster.clock.monotonic_ms() - start_ms);
    await cluster.run(300);
  }
  return all;
}

async function rangeOf(cluster: SimCluster, from: number, skip = 0): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  const answer = cluster.at(0).network.handlerOf('range');
  const request = encodeRangeRequest({ from, skip });
  for await (const frame of answer?.(request, 'peer-1') ?? []) frames.push(frame);
  return frames;
}

test('commits without blocks cost the peer that sends them, and hold nobody up', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 71 });
  await cluster.put(0, 'before');
  t.true(await cluster.until(() => cluster.haveFinal(1), 3000));
  const rogue = await promiser(cluster, async function* range(from) {
    for (let commit = from; commit < from + 12; commit++) {
      yield encodeRangeFrame({ commit });
      await pause(cluster, 4000);
    }
  });
  const all = await latencies(cluster, 12);
  t.true(Math.max(...all) < 1000, all.join());
  t.true(cluster.at(0).network.penalties.some(({ code }) => code === 'bad_range'));
  t.true(cluster.nodes.every(({ network }) => network.peers().every((p) => p.peer !== 'rogue')));
  await rogue.stop();
  await cluster.stop();
});

test('a catch-up that brings known blocks, or none, holds nobody up', async (t) => {
  for (const hasBlocks of [true, false]) {
    const cluster = await SimCluster.start({ validators: 4, seed: 72 });
    await cluster.put(0, 'before');
    t.true(await cluster.until(() => cluster.haveFinal(1), 3000));
    const [known] = await rangeOf(cluster, 1);
    const rogue = await promiser(cluster, async function* range(from) {
      for (let commit = from; commit < from + 12; commit++) {
        if (hasBlocks) {
          yield known as Uint8Array;
          yield encodeRangeFrame({ commit });
        }
        await pause(cluster, 4000);
      }
    });
    const all = await latencies(cluster, 12);
    t.true(Math.max(...all) < 1000, all.join());
    await rogue.stop();
    await cluster.stop();
  }
});

test('a validator restarted late in an epoch seals its first block there', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 73 }, [3]);
  const who = cluster.net.validators[3];
  if (!who) throw new Error('no validator');
  const { core } = cluster.at(0);
  // by some rounds: the store may lack what was written last
  const isLate = () => core.replica.orderer.dag.horizon > 4;
  for (let i = 0; !isLate() && i < 200; i++) {
    await cluster.put(i % 3, `${i}`);
    await cluster.until(() => cluster.haveFinal(i + 1), 3000);
  }
  t.true(isLate());
  // what it would hold that has followed so far
  const rows = new Map(cluster.at(0).store.survivors());
  rows.delete(storeKeys.ownLast);
  const node = await cluster.join('peer-3', who, rows);
  t.true(node.core.replica.orderer.dag.horizon > 0);
  await cluster.run(3000);
  const { size } = node.core.replica.fold;
  await cluster.put(3, 'own', 'v', false);
  t.true(await cluster.until(() => cluster.haveFinal(size + 1), 5000));
  t.true(node.core.replica.counters.blocksSealed > 0);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a range from a commit that nobody has brings nothing', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 74 });
  const who = newcomer(0);
  await cluster.join('peer-4', who);
  await cluster.run(50);
  for (let i = 0; i < 4; i++) await cluster.put(i, `${i}`);
  await changeCommittee(cluster, 0, [joining(who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1), 5000));
  const { index } = cluster.at(0).core.replica.orderer.state.last;
  t.deepEqual(await rangeOf(cluster, Number.MAX_SAFE_INTEGER), []);
  t.deepEqual(await rangeOf(cluster, index + 2), []);
  const tail = await rangeOf(cluster, index + 1);
  t.true(tail.length > 1, 'the blocks that decide the end, and the seal');
  t.deepEqual(await rangeOf(cluster, index + 1, 1), tail.slice(1));
  t.deepEqual(await rangeOf(cluster, index + 1, tail.length + 5), tail.slice(-1));
  await cluster.stop();
});

test('the blocks that decide the end of an epoch come in as many answers as needed', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 78 });
  const who = newcomer(0);
  const node = await cluster.join('peer-4', who);
  cluster.hub.partition(['peer-3'], ['peer-0', 'peer-1', 'peer-2', 'peer-4']);
  await cluster.run(50);
  for (let i = 0; i < 6; i++) await cluster.put(i % 3, `${i}`);
  await changeCommittee(cluster, 0, [joining(who, node.name)]);
  t.true(await cluster.until(() => areIn(cluster, 1, [0, 1, 2, 4]), 5000));
  let parts = 0;
  for (const { network } of cluster.nodes) {
    const honest = network.handlerOf('range');
    network.serve('range', async function* short(message, from) {
      const frames: Uint8Array[] = [];
      for await (const frame of honest?.(message, from) ?? []) frames.push(frame);
      const read = frames.map(decodeRangeFrame);
      const seal = read.findIndex((frame) => 'seal' in frame);
      const tail = read.slice(0, Math.max(0, seal)).findLastIndex((frame) => 'commit' in frame) + 1;
      // an answer ends with the first block that no commit brings
      const end = seal - tail > 1 ? tail + 1 : frames.length;
      if (end < frames.length) parts += 1;
      yield* frames.slice(0, end);
    });
  }
  cluster.hub.healAll();
  t.true(await cluster.until(() => areIn(cluster, 1) && cluster.haveFinal(7), 20_000));
  t.true(parts > 1);
  await cluster.stop();
});

test('own bare events that an epoch leaves over survive a power cut', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 75 });
  const who = newcomer(0);
  await cluster.join('peer-4', who);
  await cluster.run(50);
  const { store, core } = cluster.at(0);
  let kept: { readonly rows: Rows; readonly bare: readonly string[] } | undefined;
  const write = store.write.bind(store);
  store.write = async (ops, options) => {
    await write(ops, options);
    if (kept || !ops.some(({ key }) => key === storeKeys.epoch(1))) return;
    const bare = [...core.replica.pool.values()].filter(({ entry }) => !entry.sign1);
    kept = { rows: store.survivors(), bare: bare.map(({ entry }) => entry.id) };
  };
  const ids: string[] = [await changeCommittee(cluster, 1, [joining(who, 'peer-4')])];
  for (let i = 0; i < 40 && areIn(cluster, 0, [0]); i++) {
    ids.push(await cluster.put(0, `bare-${i}`, 'x', false));
    await cluster.run(5);
  }
  t.true(await cluster.until(() => kept !== undefined, 5000));
  t.true((kept?.bare.length ?? 0) > 0, 'some were left over');
  await cluster.crash(0);
  await cluster.restart(0, kept?.rows ?? []);
  const { pool } = cluster.at(0).core.replica;
  for (const id of kept?.bare ?? []) {
    t.is(pool.get(id)?.entry.id, id);
    t.is(pool.get(id)?.coseKey, undefined);
  }
  const isFinal = (id: string) => cluster.at(2).core.log.finalEvent(id) !== undefined;
  t.true(await cluster.until(() => (kept?.bare ?? []).every(isFinal), 20_000));
  await cluster.run(2000);
  const left = [...cluster.at(0).store.rows].filter(([key]) => key.startsWith('p/'));
  t.deepEqual(left.filter(([key]) => isFinal(key.slice(2))), []);
  await cluster.stop();
});

test('evidence that could not be reported is reported later', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 76 }, [3]);
  const rogue = new Rogue(cluster, 3);
  const pair = [await rogue.seal(1, 'a'), await rogue.seal(1, 'b')];
  let refusals = 0;
  for (const { core } of cluster.nodes) {
    const author = core.author.bind(core);
    core.author = (...event) => {
      refusals += 1;
      return refusals > 5 ? author(...event) : Promise.reject(new Error('no room'));
    };
  }
  for (const block of pair) if (block) await rogue.give(block, [0, 1, 2]);
  t.true(await cluster.until(() => areIn(cluster, 1), 60_000));
  t.true(refusals > 5);
  t.is(cluster.at(0).core.replica.committee.size, 3);
  await cluster.stop();
});

test('a restart in a new epoch takes no commit of the one before for its own', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 79 });
  const who = newcomer(0);
  await cluster.join('peer-4', who);
  await cluster.run(50);
  for (let i = 0; i < 6; i++) await cluster.put(i % 4, `${i}`);
  await changeCommittee(cluster, 0, [joining(who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 1) && cluster.haveFinal(7), 5000));
  await cluster.put(1, 'in the next');
  t.true(await cluster.until(() => cluster.haveFinal(8), 5000));
  const { last } = cluster.at(0).core.replica.orderer.state;
  const rows = [...cluster.at(0).store.rows];
  await cluster.crash(0);
  await cluster.restart(0, rows);
  const { orderer } = cluster.at(0).core.replica;
  t.is(orderer.committee.epoch, 1);
  t.deepEqual(orderer.state.last, last);
  t.deepEqual(orderer.absent, []);
  await cluster.stop();
});

/** A block of a validator that is played by hand, over the genesis blocks, one minute ahead. */
function early(cluster: SimCluster, author: number, round: number, parents: readonly Ref[]) {
  const { chain, validators } = cluster.net;
  const who = validators[author];
  if (!who) throw new Error('no validator');
  const ts_ms = cluster.clock.wall_ms() + 60_000;
  const { committee } = chain;
  const place = { chain: chain.id, epoch: 0, committee: committee.id };
  const head = { ...place, round, author, ts_ms, parents };
  return sealBlock(head, [], [], who.signer);
}

test('blocks held from a larger committee cost no peer anything in the next one', async (t) => {
  const cluster = await SimCluster.start({ validators: 7, seed: 77 }, [5, 6]);
  const { replica } = cluster.at(0).core;
  const { chain, validators } = cluster.net;
  const start = (author: number): Ref => {
    return { round: 0, author, id: genesisBlockId(chain.id, chain.committee, author) };
  };
  const starts = (author: number) => [start(author), ...[0, 1, 2, 3, 4].map(start)];
  const first: Block = await early(cluster, 5, 1, starts(5));
  await cluster.put(0, 'a round');
  t.true(await cluster.until(() => cluster.haveFinal(1), 3000));
  const others = [0, 1, 2, 3, 4].flatMap((author) => replica.orderer.dag.slot(1, author));
  const parents = others.map(({ round, author, id }) => ({ round, author, id }));
  const refs = [start(6), first.ref, ...parents];
  const second: Block = await early(cluster, 6, 2, refs);
  const verifier = await rememberingVerifier();
  let open: () => void = () => undefined;
  let gate: Promise<void> = Promise.resolve();
  const slow: Pick<Verifier, 'verify'> = {
    verify: async (jobs) => {
      await gate;
      return verifier.verify(jobs);
    },
  };
  const intake = new BlockIntake(
    chain,
    replica,
    slow as Verifier,
    new VerifiedEntries(),
    cluster.clock,
    silentLog,
    () => undefined,
  );
  t.is(await intake.take(encodeBlock(second), 'peer-6'), 'accept');
  t.is(intake.counters.blocksHeld, 1);
  gate = new Promise((resolve) => (open = resolve));
  const taken = intake.take(encodeBlock(first), 'peer-5').catch(codeOf);
  await changeCommittee(cluster, 0, [], validators.slice(5));
  const isIn = (committee: Committee) => committee.epoch === 1 && committee.size === 5;
  t.true(await cluster.until(() => isIn(replica.committee), 10_000));
  open();
  t.is(await taken, 'accept');
  intake.stop();
  await cluster.stop();
});
