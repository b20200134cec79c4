import test from 'ava';
import { sleep, until } from '#test/p2p/support.ts';
import { reasonToSkip, TwoHosts } from './namespaces.ts';
import type { HostNode } from './namespaces.ts';

const reason = reasonToSkip();
/** Above the 64 s after which libp2p forgets peers that it was told to keep. */
const CUT_MS = 70_000;

if (reason !== undefined) {
  test.skip(`a 2-2 partition of 70 s is noticed and heals: ${reason}`, () => {});
} else {
  test('a 2-2 partition of 70 s is noticed and heals', async (t) => {
    t.timeout(290_000);
    const hosts = new TwoHosts(2);
    t.teardown(() => hosts.remove());
    const nodes: HostNode[] = [];
    for (const [index, side] of ([0, 0, 1, 1] as const).entries()) {
      const bootstrap = nodes.flatMap((node) => node.report?.addrs.slice(0, 1) ?? []);
      const listen = [`/ip4/${hosts.addresses[side]}/tcp/${4101 + index}`];
      const node = hosts.startNode(side, { listen, bootstrap });
      nodes.push(node);
      await until(() => node.report !== undefined, 'the node runs');
    }
    const all = (meshed: number) => () => nodes.every((node) => node.report?.meshed === meshed);
    await until(all(3), 'the full mesh', 60_000);
    const cutAt_ms = performance.now();
    hosts.setCut(true);
    await until(all(1), 'the loss is seen on both sides', CUT_MS);
    t.log(`loss seen after ${Math.round(performance.now() - cutAt_ms)} ms`);
    await sleep(CUT_MS - (performance.now() - cutAt_ms));
    hosts.setCut(false);
    const healedAt_ms = performance.now();
    await until(all(3), 'the full mesh is back', 40_000);
    t.log(`full mesh ${Math.round(performance.now() - healedAt_ms)} ms after the heal`);
    t.pass();
  });
}
