import { createServer } from 'node:net';
import test from 'ava';
import { generatePeerKey, peerNameOf } from '#p2p/index.ts';
import { addrOf, linked, sleep, startNode, testAuth, until } from './support.ts';

test('a node of another chain is refused with a code on both sides, and left alone', async (t) => {
  const one = await startNode();
  t.teardown(() => one.stop());
  const other = 'f0'.repeat(32);
  const two = await startNode({ chain: other, bootstrap: [addrOf(one)] });
  t.teardown(() => two.stop());
  const refusals = (node: typeof one): number =>
    node.status().counters.hellos_total['foreign_chain'] ?? 0;
  await until(() => refusals(one) > 0 && refusals(two) > 0, 'the coded refusal');
  const target = two.status().missing[0];
  t.is(target?.lastFailure, 'foreign_chain');
  t.true((target?.nextDial_ms ?? 0) > 30_000, 'asked again after a minute, not after the back-off');
  await sleep(1_000);
  t.is(refusals(two), 1);
  t.deepEqual([...one.peers(), ...two.peers()], []);
});

test('a hello with a wrong signature is refused and held against the peer', async (t) => {
  const one = await startNode();
  t.teardown(() => one.stop());
  const key = await generatePeerKey();
  const forger = await startNode({
    key,
    hello: testAuth(undefined, true),
    bootstrap: [addrOf(one)],
    backoff: { first_ms: 600_000, max_ms: 600_000 },
  });
  t.teardown(() => forger.stop());
  await until(() => (one.status().counters.hellos_total['hello_invalid'] ?? 0) > 0, 'the refusal');
  await until(
    () => forger.status().missing[0]?.lastFailure === 'hello_refused',
    'the forger is told',
  );
  t.is(one.status().counters.penalties_total['hello_invalid'], 1);
  t.false(linked(one, peerNameOf(key)));
});

test('a hello signed for another link is refused', async (t) => {
  const honest = testAuth();
  const one = await startNode();
  t.teardown(() => one.stop());
  const replay = {
    ...honest,
    make: (challenge: Uint8Array) => honest.make(challenge, 'someone else'),
  };
  const two = await startNode({ hello: replay, bootstrap: [addrOf(one)] });
  t.teardown(() => two.stop());
  await until(() => (one.status().counters.hellos_total['hello_invalid'] ?? 0) > 0, 'the refusal');
  t.is(one.peers().length, 0);
});

test('a peer that never finishes its hello is closed after 5 s, unserved', async (t) => {
  const one = await startNode({}, (node) =>
    node.serve('blocks', async function* answer(message) {
      yield message;
    }),
  );
  t.teardown(() => one.stop());
  const hello = { ...testAuth(), make: () => new Promise<Uint8Array>(() => {}) };
  const mute = await startNode({
    hello,
    bootstrap: [addrOf(one)],
    backoff: { first_ms: 60_000, max_ms: 60_000 },
  });
  t.teardown(() => mute.stop());
  await sleep(1_000);
  t.is(one.peers().length, 0);
  const ended = (): number => {
    const { hello_timeout: timeout, peer_gone: gone } = one.status().counters.hellos_total;
    return (timeout ?? 0) + (gone ?? 0);
  };
  await until(() => ended() > 0, 'the hello is given up', 7_000);
  await until(
    () => Object.keys(one.status().counters.disconnects_total).length > 0,
    'the link ends',
  );
  t.is(one.peers().length, 0);
});

test('a listener that is no libp2p node is redialled with growing pauses', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).end('hello?\n'));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const node = await startNode({ bootstrap: [`/ip4/127.0.0.1/tcp/${port}`] });
  t.teardown(() => node.stop());
  await until(() => (node.status().missing[0]?.failures ?? 0) >= 3, 'three dials');
  t.is(node.peers().length, 0);
});

test('addresses and keys that are none are refused with a code', async (t) => {
  await t.throwsAsync(startNode({ bootstrap: ['localhost:4101'] }), { code: 'address_invalid' });
  await t.throwsAsync(startNode({ key: new Uint8Array(68) }), { code: 'peer_key_invalid' });
  const one = await startNode();
  t.teardown(() => one.stop());
  const taken = addrOf(one).replace(/\/p2p\/.*$/, '');
  await t.throwsAsync(startNode({ listen: [taken] }), { code: 'listen_failed' });
});
