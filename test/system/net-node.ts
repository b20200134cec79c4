/** A node of the network adapter as a process of its own; prints its state four times a second. */
import type { NetworkOptions } from '#p2p/index.ts';
import { startNode } from '#test/p2p/support.ts';

const config = JSON.parse(process.argv[2] ?? '{}') as Partial<NetworkOptions>;
// the pauses of a node as it is shipped
const shipped = { first_ms: 500, max_ms: 15_000 };
const node = await startNode({ backoff: shipped, ...config });
const timer = setInterval(() => {
  const { self, addrs, peers } = node.status();
  const meshed = peers.filter((peer) => peer.gossip === 'both').length;
  console.log(JSON.stringify({ self, addrs, peers: peers.map((peer) => peer.peer), meshed }));
}, 250);
process.once('SIGTERM', () => {
  clearInterval(timer);
  void node.stop().then(() => process.exit(0));
});
