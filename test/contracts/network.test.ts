import test from 'ava';
import { realClock, startNode, addrOf, untilMeshed, until } from '#test/p2p/support.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { FakeHub } from '#test/support/fake-network.ts';
import { networkContract } from './network.ts';

networkContract(test, 'fake', async (count, prepare) => {
  const hub = new FakeHub({ clock: realClock, seed: 1 });
  const nodes = Array.from({ length: count }, (_, index) => {
    const node = hub.join(`peer-${index}`, String(index).repeat(64));
    prepare(node, index);
    return node;
  });
  for (const node of nodes) await node.start();
  await until(() => nodes.every((node) => node.peers().length === count - 1), 'links');
  return {
    nodes,
    crash: async (index) => nodes[index]?.stop(),
    stop: async () => {
      for (const node of nodes) await node.stop();
    },
  };
});

networkContract(test, 'libp2p', async (count, prepare) => {
  const nodes: ManagedNetwork[] = [];
  for (let index = 0; index < count; index += 1) {
    const bootstrap = nodes.map((node) => addrOf(node));
    nodes.push(await startNode({ bootstrap }, (node) => prepare(node, index)));
  }
  await untilMeshed(nodes);
  return {
    nodes,
    crash: async (index) => nodes[index]?.stop(),
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
});
