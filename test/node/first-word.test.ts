import test from 'ava';
import type { Core } from '#ledger/core.ts';
import { X0tError } from '#ledger/errors.ts';
import { sayFirstWord } from '#node/membership/first-word.ts';
import { isUnseen, readMember } from '#projections/index.ts';
import { silentLog } from '#test/support/cluster.ts';
import { areIn, changeCommittee, joining, newcomer } from '#test/support/epochs.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** A new validator shows by itself that it runs, so that the next one can come. */

test('in a quiet network each newcomer is seen at work by its first word', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 83 });
  const addr = '/ip4/192.0.2.9/tcp/4101';
  const network = { status: () => ({ addrs: [addr] }) as never };
  for (const i of [0, 1]) {
    const { core, who, name } = await cluster.join(`peer-${4 + i}`, newcomer(i));
    await cluster.run(50);
    sayFirstWord(core, network, who.actor, { clock: cluster.clock, log: silentLog });
    await changeCommittee(cluster, 0, [joining(who, name)]);
    t.true(await cluster.until(() => areIn(cluster, i + 1), 10_000), `${i}`);
    const rows = () => cluster.at(0).core.rows('members', 'final');
    t.true(await cluster.until(() => !isUnseen(rows(), who.actor), 5000), `${i}`);
    t.deepEqual(readMember(rows(), who.actor)?.addrs, [addr]);
  }
  const { size } = cluster.at(0).core.replica.fold;
  t.is(size, 4, 'one word of each');
  await cluster.run(5000);
  t.is(cluster.at(0).core.replica.fold.size, size);
  t.deepEqual(cluster.troubles(), []);
  await cluster.stop();
});

test('a first word that is refused is said again after growing pauses, until it is', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 84 });
  const { core, who, name } = await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  const { clock } = cluster;
  const tries: number[] = [];
  let isFull = true;
  const author: Core['author'] = (...event) => {
    tries.push(clock.monotonic_ms());
    if (isFull) return Promise.reject(new X0tError('pool_full', 'full'));
    return core.author(...event);
  };
  const view = {
    rows: core.rows.bind(core),
    onEpoch: core.onEpoch.bind(core),
    author,
  } as Pick<Core, 'rows' | 'author' | 'onEpoch'>;
  const network = { status: () => ({ addrs: ['/ip4/192.0.2.9/tcp/4101'] }) as never };
  const end = sayFirstWord(view, network, who.actor, { clock, log: silentLog });
  await changeCommittee(cluster, 0, [joining(who, name)]);
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  t.true(await cluster.until(() => tries.length === 4, 10_000));
  const pauses = tries.slice(1).map((at, i) => Math.round((at - (tries[i] ?? 0)) / 1000));
  t.deepEqual(pauses, [1, 2, 4]);
  t.true(isUnseen(cluster.at(0).core.rows('members', 'final'), who.actor));
  isFull = false;
  const isSeen = () => !isUnseen(cluster.at(0).core.rows('members', 'final'), who.actor);
  t.true(await cluster.until(isSeen, 12_000));
  await cluster.run(20_000);
  t.is(tries.length, 5, 'said once');
  end();
  await cluster.stop();
});
