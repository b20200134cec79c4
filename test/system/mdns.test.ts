import test from 'ava';
import { until } from '#test/p2p/support.ts';
import { reasonToSkip, TwoHosts } from './namespaces.ts';

const reason = reasonToSkip();

if (reason !== undefined) {
  test.skip(`two nodes on one wire find each other by mDNS: ${reason}`, () => {});
} else {
  test('two nodes on one wire find each other by mDNS, a third of another chain not', async (t) => {
    const hosts = new TwoHosts(1);
    t.teardown(() => hosts.remove());
    const config = (side: 0 | 1) => ({
      listen: [`/ip4/${hosts.addresses[side]}/tcp/4101`],
      mdns: true,
    });
    const one = hosts.startNode(0, config(0));
    const two = hosts.startNode(1, config(1));
    const foreign = hosts.startNode(1, {
      listen: [`/ip4/${hosts.addresses[1]}/tcp/4102`],
      mdns: true,
      chain: 'f0'.repeat(32),
    });
    await until(() => one.report?.meshed === 1 && two.report?.meshed === 1, 'a link');
    await until(() => foreign.report !== undefined, 'the third one runs');
    t.deepEqual(one.report?.peers, [two.report?.self]);
    t.deepEqual(two.report?.peers, [one.report?.self]);
    t.deepEqual(foreign.report?.peers, []);
  });
}
