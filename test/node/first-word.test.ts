import test from 'ava';
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
    sayFirstWord(core, network, who.actor, silentLog);
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
