import test from 'ava';
import { reachValidators } from '#node/validators.ts';
import { areIn, changeCommittee, joining, newcomer, operate } from '#test/support/epochs.ts';
import { silentLog } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

const DESCRIBE = 'member.describe/1';

/** Whom a node dials follows the committee. */

test('who joins is dialled, who is removed is not, and who comes back is again', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 81 });
  const told: string[] = [];
  const network = {
    tellAddresses: (peer: string, addrs: readonly string[], isSought: boolean) => {
      if (addrs.length > 0) told.push(`${isSought ? 'seek' : 'know'} ${peer} ${addrs.join()}`);
      return [];
    },
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
  t.deepEqual(told.splice(0), ['seek peer-4 /ip4/192.0.2.1/tcp/4101', 'not ']);
  await changeCommittee(cluster, 0, [], [node.who]);
  t.true(await cluster.until(() => areIn(cluster, 2), 10_000));
  t.deepEqual(told.splice(0), ['not peer-4']);
  await changeCommittee(cluster, 0, [{ ...joining(node.who, 'peer-4'), addrs }]);
  t.true(await cluster.until(() => areIn(cluster, 3), 10_000));
  t.deepEqual(told.splice(0), ['seek peer-4 /ip4/192.0.2.1/tcp/4101', 'not ']);
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

test('who moves is told from its word on, not only from the next epoch', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 82 });
  const told: string[] = [];
  const network = {
    tellAddresses: (peer: string, addrs: readonly string[], isSought: boolean) => {
      if (addrs.length > 0) told.push(`${isSought} ${peer} ${addrs.join()}`);
      return [];
    },
    setUndialled: () => undefined,
  };
  const { core, who } = cluster.at(0);
  const end = reachValidators(core, network, who.actor, silentLog);
  const moves = async (index: number, addr: string) => {
    const { actor } = cluster.net.validators[index] as TestActor;
    const body = { actor: Uint8Array.fromHex(actor), addrs: [addr] };
    const { id } = await cluster.during(cluster.at(index).core.author(DESCRIBE, body, true));
    t.true(await cluster.until(() => core.log.finalEvent(id) !== undefined, 5000));
  };
  await moves(1, '/ip4/192.0.2.1/tcp/1');
  await moves(0, '/ip4/192.0.2.1/tcp/2');
  await moves(1, '/ip4/192.0.2.1/tcp/3');
  t.deepEqual(told, ['true peer-1 /ip4/192.0.2.1/tcp/1', 'true peer-1 /ip4/192.0.2.1/tcp/3']);
  end();
  await moves(1, '/ip4/192.0.2.1/tcp/4');
  t.is(told.length, 2);
  await cluster.stop();
});
