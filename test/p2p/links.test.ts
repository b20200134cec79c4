/** Losing peers and finding them again. */
import test from 'ava';
import { GOSSIP_BYTES_MAX } from '#ledger/limits.ts';
import { topicName } from '#p2p/gossip-service.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import type { Startable } from '@libp2p/interface';
import { generatePeerKey } from '#p2p/index.ts';
import { rawPeer } from './raw-peer.ts';
import { addrOf, CHAIN, linked, ownHost, sleep, startNode, until } from './support.ts';
import { untilMeshed } from './support.ts';

test('a peer that restarts on its port is found again by those it once dialled', async (t) => {
  const one = await startNode();
  t.teardown(() => one.stop());
  const key = await generatePeerKey();
  const first = await startNode({ key, listen: [ownHost()], bootstrap: [addrOf(one)] });
  await untilMeshed([one, first]);
  const listen = [addrOf(first).replace(/\/p2p\/.*$/, '')];
  await first.stop();
  await until(() => one.peers().length === 0, 'the loss is seen');
  // without bootstrap: one has to dial it, by the address that identify told
  const second = await startNode({ key, listen });
  t.teardown(() => second.stop());
  await untilMeshed([one, second]);
  const got = Promise.withResolvers<number>();
  t.is(one.peers()[0]?.peer, second.self);
  const third = await startNode({ bootstrap: [addrOf(one)] }, (node) =>
    node.subscribe('block', (message) => {
      got.resolve(message.length);
      return Promise.resolve('accept');
    }),
  );
  t.teardown(() => third.stop());
  const taker = () => one.status().peers.find((peer) => peer.peer === third.self);
  await until(() => taker()?.topics.length === 1, 'the third peer and its subscription');
  await one.publish('block', new Uint8Array(5));
  t.is(await got.promise, 5);
});

test('blocked peers are cut, stay away, and come back when they are taken off', async (t) => {
  const one = await startNode();
  t.teardown(() => one.stop());
  const two = await startNode({ bootstrap: [addrOf(one)] });
  t.teardown(() => two.stop());
  await untilMeshed([one, two]);
  one.setBlocked(new Set([two.self]));
  await until(() => one.peers().length === 0 && two.peers().length === 0, 'the cut', 2_000);
  const failures = (): number => two.status().missing[0]?.failures ?? 0;
  await until(() => failures() > 1, 'the other side keeps trying');
  await sleep(1_500);
  t.false(linked(one, two.self) || linked(two, one.self));
  t.deepEqual(one.status().blocked, [two.self]);
  one.setBlocked(new Set());
  await untilMeshed([one, two], 3_000);
  t.deepEqual(one.status().blocked, []);
});

test('a 2-2 partition by deny lists heals to a full mesh', async (t) => {
  const nodes: ManagedNetwork[] = [];
  for (let each = 0; each < 4; each += 1) {
    const node = await startNode({ bootstrap: nodes.map((other) => addrOf(other)) });
    t.teardown(() => node.stop());
    nodes.push(node);
  }
  await untilMeshed(nodes);
  const halves = [nodes.slice(0, 2), nodes.slice(2)] as const;
  const names = halves.map((half) => new Set(half.map((node) => node.self)));
  for (const node of halves[0]) node.setBlocked(names[1] ?? new Set());
  for (const node of halves[1]) node.setBlocked(names[0] ?? new Set());
  await until(() => nodes.every((node) => node.peers().length === 1), 'the partition');
  await sleep(1_000);
  for (const node of nodes) node.setBlocked(new Set());
  await untilMeshed(nodes, 5_000);
  t.true(nodes.every((node) => node.peers().length === 3));
});

test('two nodes that know each other and start together end with one working link', async (t) => {
  const keys = [await generatePeerKey(), await generatePeerKey()];
  const early = await Promise.all(keys.map((key) => startNode({ key, listen: [ownHost()] })));
  const addrs = early.map((node) => addrOf(node));
  await Promise.all(early.map((node) => node.stop()));
  const nodes = await Promise.all(
    keys.map((key, index) =>
      startNode({
        key,
        listen: [addrs[index]?.replace(/\/p2p\/.*$/, '') ?? ''],
        bootstrap: addrs,
      }),
    ),
  );
  for (const node of nodes) t.teardown(() => node.stop());
  await untilMeshed(nodes);
  await sleep(1_000);
  const works = (node: ManagedNetwork): boolean => {
    const [peer, ...others] = node.status().peers;
    return others.length === 0 && peer?.gossip === 'both' && peer.rtt_ms !== undefined;
  };
  // a second link may be on its way out
  await until(() => nodes.every(works), 'one working link');
  t.true(nodes.every((node) => node.peers().length === 1));
});

test('a peer that sends no pongs is declared dead and its link closed', async (t) => {
  const liveness = { ping_ms: 100, pong_ms_max: 1500, pingsLost_max: 2, mute_ms_max: 600_000 };
  const one = await startNode({ liveness });
  t.teardown(() => one.stop());
  const { host } = await rawPeer(addrOf(one));
  t.teardown(() => host.stop());
  await until(() => one.status().peers[0]?.rtt_ms !== undefined, 'a first pong', 30_000);
  await host.unhandle('/ipfs/ping/1.0.0');
  await host.handle('/ipfs/ping/1.0.0', () => {});
  await until(() => one.peers().length === 0, 'it is given up', 20_000);
  t.is(one.status().counters.disconnects_total['dead'], 1);
});

test('a lost gossip stream is opened again on the living connection', async (t) => {
  const one = await startNode({ liveness: { mute_ms_max: 600_000 } });
  t.teardown(() => one.stop());
  const { host, gate, connection } = await rawPeer(addrOf(one));
  t.teardown(() => host.stop());
  gate.connect(connection);
  await until(() => one.status().peers[0]?.gossip === 'both', 'the gossip streams');
  const stream = connection.streams.find((each) => {
    return each.protocol.startsWith('/meshsub') && each.direction === 'inbound';
  });
  const before = one.status().counters.gossip_reset_total['nudged'] ?? 0;
  stream?.abort(new Error('test'));
  const nudged = (): number => one.status().counters.gossip_reset_total['nudged'] ?? 0;
  await until(() => nudged() > before, 'the loss is seen');
  await until(() => one.status().peers[0]?.gossip === 'both', 'the stream is back');
  t.is(one.status().counters.disconnects_total['gossip'], undefined);
  t.is(one.status().peers[0]?.links, 1);
});

test('a peer that opens no gossip stream is closed', async (t) => {
  const one = await startNode({ liveness: { mute_ms_max: 700 } });
  t.teardown(() => one.stop());
  const { host } = await rawPeer(addrOf(one));
  t.teardown(() => host.stop());
  await (host.services.gossip as unknown as Startable).stop();
  await until(() => one.status().counters.disconnects_total['gossip'] === 1, 'the link is closed');
  t.is(one.peers().length, 0);
});

test('gossip to a peer that does not read is dropped, not queued without bound', async (t) => {
  const one = await startNode({}, (node) =>
    node.subscribe('block', () => Promise.resolve('accept')),
  );
  t.teardown(() => one.stop());
  const { host, gate, connection } = await rawPeer(addrOf(one));
  t.teardown(() => host.stop());
  gate.connect(connection);
  const gossip = host.services.gossip;
  gossip.subscribe(topicName(CHAIN, 'block'));
  await until(() => one.status().peers[0]?.gossip === 'both', 'the gossip streams');
  const lost = (): number => one.status().counters.gossip_reset_total['nudged'] ?? 0;
  await until(() => one.status().peers[0]?.topics.length === 1, 'its subscription');
  const stalled = connection.streams.find((each) => {
    return each.protocol.startsWith('/meshsub') && each.direction === 'inbound';
  });
  stalled?.pause();
  for (let each = 0; each < 16 && lost() === 0; each += 1) {
    await one.publish('block', new Uint8Array(GOSSIP_BYTES_MAX).fill(each));
    await sleep(20);
  }
  await until(() => lost() > 0, 'the full queue was dropped and its stream opened again');
  await until(() => stalled?.status !== 'open', 'the stalled stream was reset');
  t.true(stalled !== undefined);
});

test('a bootstrap address without a name finds whoever listens there now', async (t) => {
  const first = await startNode({ listen: [ownHost()] });
  const bare = addrOf(first).replace(/\/p2p\/.*$/, '');
  const one = await startNode({ bootstrap: [bare] });
  t.teardown(() => one.stop());
  await until(() => linked(one, first.self), 'the first bearer of the address');
  await first.stop();
  await until(() => one.peers().length === 0, 'its loss');
  const second = await startNode({ listen: [bare] });
  t.teardown(() => second.stop());
  await until(() => linked(one, second.self), 'the second bearer');
  t.not(first.self, second.self);
});

test('a dropped peer keeps its link and may dial; it is not dialled when it is gone', async (t) => {
  const one = await startNode();
  t.teardown(() => one.stop());
  const key = await generatePeerKey();
  const first = await startNode({ key });
  one.addBootstrap(addrOf(first));
  await untilMeshed([one, first]);
  one.setUndialled(new Set([first.self]));
  await sleep(300);
  t.true(linked(one, first.self));
  await first.stop();
  await until(() => one.peers().length === 0, 'its loss');
  t.deepEqual(one.status().missing, []);
  const second = await startNode({ key, bootstrap: [addrOf(one)] });
  await untilMeshed([one, second]);
  await second.stop();
  await until(() => one.peers().length === 0, 'its second loss');
  t.deepEqual(one.status().missing, [], 'it dialled by itself');
  const third = await startNode({ key });
  t.teardown(() => third.stop());
  one.addBootstrap(addrOf(third));
  await until(() => linked(one, third.self), 'it is named again');
});

test('what the configuration names is dialled whoever is dropped', async (t) => {
  const key = await generatePeerKey();
  const first = await startNode({ key, listen: [ownHost()] });
  const addr = addrOf(first);
  const one = await startNode({ bootstrap: [addr] });
  t.teardown(() => one.stop());
  await untilMeshed([one, first]);
  one.setUndialled(new Set([first.self]));
  await first.stop();
  await until(() => one.peers().length === 0, 'its loss');
  const second = await startNode({ key, listen: [addr.replace(/\/p2p\/.*$/, '')] });
  t.teardown(() => second.stop());
  await until(() => linked(one, second.self), 'it is back');
  t.deepEqual(one.status().missing, []);
});
