import test from 'ava';
import { realClock, startNode, addrOf, untilMeshed, until } from '#test/p2p/support.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { FakeHub } from '#test/support/fake-network.ts';
import type { Topic } from '#ledger/ports.ts';
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
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  const topics = new Set<Topic>();
  for (let index = 0; index < count; index += 1) {
    const bootstrap = nodes.map((node) => addrOf(node));
    const node = await startNode({ bootstrap }, (fresh) => {
      const subscribe = fresh.subscribe.bind(fresh);
      fresh.subscribe = (topic, handler) => {
        topics.add(topic);
        subscribe(topic, handler);
      };
      prepare(fresh, index);
    });
    nodes.push(node);
  }
  // all nodes take the same topics, and get what they were heard to subscribe to
  const takes = (node: ManagedNetwork) => node.status().peers.map((peer) => peer.topics.length);
  const subscribed = (node: ManagedNetwork) => takes(node).every((each) => each === topics.size);
  try {
    await untilMeshed(nodes);
    await until(() => nodes.every(subscribed), 'the subscriptions');
  } catch (error) {
    // nobody else knows these nodes yet, and they would keep the process alive
    await stop();
    throw error;
  }
  return { nodes, crash: async (index) => nodes[index]?.stop(), stop };
});
