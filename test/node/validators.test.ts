import test from 'ava';
import { reachValidators } from '#node/validators.ts';
import { areIn, changeCommittee, joining, newcomer, operate } from '#test/support/epochs.ts';
import { silentLog } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** Whom a node dials follows the committee. */

test('who joins is dialled, who is removed is not, and who comes back is again', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 81 });
  const told: string[] = [];
  const network = {
    addBootstrap: (addr: string) => void told.push(`add ${addr}`),
    setUndialled: (peers: ReadonlySet<string>) => void told.push(`not ${[...peers].join()}`),
  };
  const { actor } = cluster.at(0).who;
  reachValidators(cluster.at(0).core, network, actor, silentLog);
  t.deepEqual(told.splice(0), ['not '], 'the genesis tells no addresses');
  const node = await cluster.join('peer-4', newcomer(0));
  await cluster.run(50);
  const addrs = ['/ip4/192.0.2.1/tcp/4101'];
  await changeCommittee(cluster, 0, [{ ...joining(node.who, 'peer-4'), addrs }]);
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  t.deepEqual(told.splice(0), ['add /ip4/192.0.2.1/tcp/4101/p2p/peer-4', 'not ']);
  await changeCommittee(cluster, 0, [], [node.who]);
  t.true(await cluster.until(() => areIn(cluster, 2), 10_000));
  t.deepEqual(told.splice(0), ['not peer-4']);
  await changeCommittee(cluster, 0, [{ ...joining(node.who, 'peer-4'), addrs }]);
  t.true(await cluster.until(() => areIn(cluster, 3), 10_000));
  t.deepEqual(told.splice(0), ['add /ip4/192.0.2.1/tcp/4101/p2p/peer-4', 'not ']);
  await changeCommittee(cluster, 0, [], [node.who]);
  t.true(await cluster.until(() => areIn(cluster, 4), 10_000));
  t.deepEqual(told.splice(0), ['not peer-4']);
  const describe = { actor: Uint8Array.fromHex(node.who.actor), addrs: [] };
  await operate(cluster, 0, 'member.describe/1', describe);
  await changeCommittee(cluster, 0, [joining(node.who, 'peer-4')]);
  t.true(await cluster.until(() => areIn(cluster, 5), 10_000));
  t.deepEqual(told.splice(0), ['not '], 'without an address, but dialled where it was seen');
  await cluster.stop();
});
