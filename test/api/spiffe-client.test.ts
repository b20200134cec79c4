import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { FastifyInstance } from 'fastify';
import { codeOf } from '#ledger/errors.ts';
import { TlsListener } from '#node/api/tls-listener.ts';
import { withSignature } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import type { ClientOptions } from '#node/client.ts';
import type { ServedSvid } from '#node/identity/own-svid.ts';
import type { X509Authorities } from '#node/identity/x509-svid.ts';
import { spiffeFetch } from '#node/spiffe-fetch.ts';
import type { SpiffePeers } from '#node/spiffe-fetch.ts';
import { systemClock } from '#node/system.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import { craftCa, craftLeaf } from '#test/identity/craft.ts';
import type { Crafted } from '#test/identity/craft.ts';
import { quietLog } from '#test/identity/support.ts';
import { nextSecond } from '#test/support/next-second.ts';
import {
  HOUR_MS, HeldSvid, HeldTrust, NODE_ID, NOW_MS, TIMES, WEB, aheadBy, certPem, foreign, other, own,
  root, served, startTlsNode, web,
} from '#test/support/tls-node.ts';
import type { TlsNode } from '#test/support/tls-node.ts';

/**
 * `Client` at the HTTPS listener: the server proves by its SVID that it is the node. One after the
 * other, since nodes that start would hold up the handshakes of the others, in one thread.
 */

/** Of certificates that have expired at `LATER_MS` from now, when others have not. */
const SHORT = { from_ms: NOW_MS - HOUR_MS, to_ms: NOW_MS + HOUR_MS / 6 };
const LATER_MS = HOUR_MS / 2;
const DOMAIN = parseSpiffeId('spiffe://example.org');

const trusting = (authorities: X509Authorities, more: Partial<SpiffePeers> = {}) =>
  spiffeFetch({ authorities, servers: [DOMAIN], clock: systemClock, ...more });

function clientAt(port: number, options: ClientOptions = {}): Client {
  return new Client(`https://127.0.0.1:${port}`, {
    secureFetch: trusting(new HeldTrust()),
    timeout_ms: 60_000,
    ...options,
  });
}

/** A node that takes signed requests: not in the second in which it was started. */
async function startSigned(t: ExecutionContext): Promise<TlsNode> {
  const started = await startTlsNode(t);
  await nextSecond();
  return started;
}

test.serial('a signed request writes over TLS, and the node reads who signed', async (t) => {
  const { node, port } = await startSigned(t);
  const client = clientAt(port, { auth: withSignature(node.operator) });
  const written = await client.putKv('greeting', new TextEncoder().encode('hello'), 'text/plain', {
    isFinal: true,
  });
  t.is(written.verdict, 'applied');
  const { value } = await client.getKv('greeting');
  t.is(Buffer.from(value, 'base64').toString(), 'hello');
  const { actor } = await client.status();
  t.is((await clientAt(port, { auth: withSignature(node.operator, actor) }).status()).actor, actor);
  const elsewhere = clientAt(port, { auth: withSignature(node.operator, node.operator.actor) });
  t.is(codeOf(await t.throwsAsync(elsewhere.status())), 'signature_other_node');
  t.is(codeOf(await t.throwsAsync(clientAt(port).status())), 'unauthenticated');
  t.true((await clientAt(port).ready()).ready);
});

test.serial('a caller with an SVID reads by mTLS, as the policies say', async (t) => {
  const { port, permit } = await startTlsNode(t);
  const shown = served(web, WEB);
  const client = clientAt(port, { secureFetch: trusting(new HeldTrust(), { own: () => shown }) });
  t.is(codeOf(await t.throwsAsync(client.status())), 'policy_denied');
  await permit(`permit (principal == Spiffe::"${WEB}", action in Action::"read", resource);`);
  t.is((await client.status()).role, 'validator');
});

interface Heard {
  readonly port: number;
  readonly svid: HeldSvid;
  /** Paths that were asked for, and ports of the connections. */
  readonly paths: string[];
  readonly connections: Set<number>;
}

/** The real listener in front of something that answers everything and notes it. */
async function listen(t: ExecutionContext, svid: ServedSvid | undefined): Promise<Heard> {
  const paths: string[] = [];
  const connections = new Set<number>();
  const routing = ({ url, socket }: IncomingMessage, response: ServerResponse): void => {
    paths.push(url ?? '');
    connections.add(socket.remotePort ?? 0);
    response.end('{}');
  };
  const app = { routing } as unknown as FastifyInstance;
  const held = new HeldSvid(svid);
  const options = { host: '127.0.0.1', port: 0, own: held, log: quietLog };
  const listener = await TlsListener.open(app, options);
  t.teardown(() => listener.close());
  return { port: listener.port, svid: held, paths, connections };
}

async function codeAt(port: number, options: ClientOptions = {}): Promise<string> {
  return clientAt(port, options).status().then(() => 'ok', codeOf);
}

/** With its intermediates, as a server shows it. */
const showing = (leaf: Crafted, ...more: readonly Crafted[]): ServedSvid => ({
  ...served(leaf),
  cert: certPem(leaf, ...more),
});

test.serial('a server that is not the node hears nothing, and the code says why', async (t) => {
  const leaf = (wish: Parameters<typeof craftLeaf>[1], by = root) =>
    craftLeaf(by, { ...TIMES, uris: [NODE_ID], ...wish });
  const longAgo = { from_ms: NOW_MS - 3 * HOUR_MS, to_ms: NOW_MS - 2 * HOUR_MS };
  const selfSigned = await craftCa({ ...TIMES, uris: [NODE_ID], ca: false, usage: 1 });
  const ofTheWeb = await craftCa({
    ...TIMES, uris: [], names: [{ type: 'dns', value: 'localhost' }], ca: false, usage: 1,
  });
  const intermediate = await craftCa({ ...TIMES }, root);
  const below = await leaf({}, intermediate);
  const { port, svid, paths } = await listen(t, served(own));
  t.is(await codeAt(port), 'ok');
  const cases: readonly (readonly [string, ServedSvid, string])[] = [
    ['a workload', showing(web), 'server_id_wrong'],
    ['a path that begins alike', showing(await leaf({ uris: [`${DOMAIN.uri}/nodes/me`] })),
      'server_id_wrong'],
    ['another domain', showing(await leaf({ uris: ['spiffe://other.org/node/me'] }, foreign)),
      'trust_domain_unknown'],
    ['a name by another domain', showing(await leaf({}, foreign)), 'svid_untrusted'],
    ['another root of the same name', showing(await leaf({}, other)), 'svid_untrusted'],
    ['expired', showing(await leaf(longAgo)), 'svid_expired'],
    ['self-signed', showing(selfSigned), 'svid_untrusted'],
    ['for a host of the web', showing(ofTheWeb), 'x509_svid_invalid'],
    ['an authority', showing(root), 'x509_svid_invalid'],
    ['without its intermediate', showing(below), 'svid_untrusted'],
    ['with it', showing(below, intermediate), 'ok'],
  ];
  for (const [name, shown, code] of cases) {
    svid.set(shown);
    t.is(await codeAt(port), code, name);
  }
  t.is(paths.length, 2);
  svid.set(undefined);
  t.is(await codeAt(port), 'tls_failed', 'no SVID at all');
});

test.serial('the ID that is expected is the whole ID', async (t) => {
  const { port, paths } = await listen(t, served(own));
  const expecting = (...ids: string[]): ClientOptions => ({
    secureFetch: trusting(new HeldTrust(), { servers: ids.map(parseSpiffeId) }),
  });
  t.is(await codeAt(port, expecting(NODE_ID)), 'ok');
  t.is(await codeAt(port, expecting(WEB, NODE_ID)), 'ok');
  t.is(await codeAt(port, expecting(`${NODE_ID}2`)), 'server_id_wrong');
  t.is(await codeAt(port, expecting('spiffe://example.org/node')), 'server_id_wrong');
  t.is(await codeAt(port, expecting('spiffe://other.org')), 'server_id_wrong');
  t.is(paths.length, 2);
});

test.serial('without a bundle no connection is made', async (t) => {
  const port = await opened(t, createTcpServer(() => t.fail('connected')));
  const client = new Client(`https://127.0.0.1:${port}`, {
    auth: () => Promise.reject(new Error('nothing is shown')),
  });
  t.is(codeOf(await t.throwsAsync(client.status())), 'server_trust_missing');
  t.is(codeOf(await t.throwsAsync(client.ready())), 'server_trust_missing');
});

async function opened(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

test.serial('TLS 1.2, no TLS and nobody are told from each other', async (t) => {
  // the right server but for its version; TLS 1.2 would need an EC key on a group that is offered
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const spki = new Uint8Array(rsa.publicKey.export({ format: 'der', type: 'spki' }));
  const cert = certPem(await craftLeaf(root, { ...TIMES, uris: [NODE_ID], spki }));
  const key = rsa.privateKey.export({ format: 'pem', type: 'pkcs8' });
  const now = createHttpsServer({ cert, key }, (_request, response) => response.end('{}'));
  t.is(await codeAt(await opened(t, now)), 'ok');
  const old = createHttpsServer({ cert, key, maxVersion: 'TLSv1.2' }, () => t.fail('asked'));
  t.is(await codeAt(await opened(t, old)), 'tls_failed');
  const plain = createHttpServer(() => t.fail('asked'));
  t.is(await codeAt(await opened(t, plain)), 'tls_failed');
  t.is(await codeAt(1), 'node_unreachable');
});

/** The groups of a ClientHello: RFC 8446, 4.2.7; and those of its key shares, 4.2.8. */
function groupsOf(hello: Buffer): { offered: number[]; shared: number[] } {
  // record header 5, handshake header 4, version 2, random 32
  let at = 43;
  at += 1 + hello.readUInt8(at);
  at += 2 + hello.readUInt16BE(at);
  at += 1 + hello.readUInt8(at) + 2;
  const offered: number[] = [];
  const shared: number[] = [];
  while (at + 4 <= hello.length) {
    const [type, end] = [hello.readUInt16BE(at), at + 4 + hello.readUInt16BE(at + 2)];
    if (type === 10) for (let i = at + 6; i < end; i += 2) offered.push(hello.readUInt16BE(i));
    if (type === 51) {
      for (let i = at + 6; i < end; i += 4 + hello.readUInt16BE(i + 2)) {
        shared.push(hello.readUInt16BE(i));
      }
    }
    at = end;
  }
  return { offered, shared };
}

const X25519MLKEM768 = 0x11ec;
const X25519 = 0x1d;

test.serial('X25519MLKEM768 is offered first, and its key share is sent at once', async (t) => {
  const hello = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined).on('data', (chunk: Buffer) => {
      const bytes = Buffer.concat([...chunks, chunk]);
      chunks.push(chunk);
      if (bytes.length < 5 + bytes.readUInt16BE(3)) return;
      hello.resolve(bytes);
      socket.destroy();
    });
  });
  t.is(await codeAt(await opened(t, server)), 'node_unreachable');
  const { offered, shared } = groupsOf(await hello.promise);
  t.deepEqual(offered, [X25519MLKEM768, X25519]);
  t.is(shared[0], X25519MLKEM768);
});

test.serial('on a connection that is kept, the server is asked for each request', async (t) => {
  const { port, svid, paths, connections } = await listen(t, served(own));
  const trust = new HeldTrust();
  let shown = served(web, WEB);
  let ahead_ms = 0;
  const clock = aheadBy(() => ahead_ms);
  const client = clientAt(port, { secureFetch: trusting(trust, { own: () => shown, clock }) });
  const code = () => client.status().then(() => 'ok', codeOf);
  for (let i = 0; i < 3; i++) t.is(await code(), 'ok');
  t.is(connections.size, 1);
  trust.set({ x509: { 'example.org': [other.certificate] } });
  t.is(await code(), 'svid_untrusted');
  trust.set({ x509: {} });
  t.is(await code(), 'trust_domain_unknown');
  t.is(paths.length, 3);
  trust.set({ x509: { 'example.org': [other.certificate, root.certificate] } });
  t.is(await code(), 'ok');
  t.is(connections.size, 2, 'the one on which it did not hold is given up');
  shown = served(await craftLeaf(root, { ...TIMES, uris: [WEB] }), WEB);
  t.is(await code(), 'ok');
  t.is(connections.size, 3, 'another certificate is shown on another connection');
  svid.set(served(await craftLeaf(root, { ...SHORT, uris: [NODE_ID] })));
  shown = served(web, WEB);
  t.is(await code(), 'ok');
  ahead_ms = LATER_MS;
  t.is(await code(), 'svid_expired');
  svid.set(served(own));
  t.is(await code(), 'ok');
  t.is(paths.length, 7);
});

test.serial('events come over TLS; a stream ends when its server is not believed', async (t) => {
  const { node, port, trust } = await startSigned(t);
  const held = new HeldTrust();
  const client = clientAt(port, {
    auth: withSignature(node.operator),
    secureFetch: trusting(held),
  });
  const put = (key: string) => client.putKv(key, Uint8Array.of(1), undefined, { isFinal: true });
  const { seq = 0 } = await put('a');
  const seen: (number | undefined)[] = [];
  const failure = await t.throwsAsync(async () => {
    for await (const event of client.follow(seq)) {
      seen.push(event.seq);
      if (seen.length < 2) await put('b');
      if (seen.length < 2) continue;
      held.set({ x509: {} });
      const { operator } = node;
      await new Client(client.url, {
        auth: withSignature(operator), secureFetch: trusting(trust),
      }).putKv('c', Uint8Array.of(1), undefined, { isFinal: true });
    }
  });
  t.is(codeOf(failure), 'trust_domain_unknown');
  t.deepEqual(seen, [seq, seq + 1]);
});

test.serial('a stream is gone on with where the SVID of the server has been renewed', async (t) => {
  const { node, port, svid } = await startSigned(t);
  svid.set(served(await craftLeaf(root, { ...SHORT, uris: [NODE_ID] })));
  const auth = withSignature(node.operator);
  const writer = clientAt(port, { auth });
  const put = (key: string) => writer.putKv(key, Uint8Array.of(1), undefined, { isFinal: true });
  let ahead_ms = 0;
  const clock = aheadBy(() => ahead_ms);
  const reader = clientAt(port, { auth, secureFetch: trusting(new HeldTrust(), { clock }) });
  const seen: (number | undefined)[] = [];
  const reading = (async () => {
    for await (const { seq } of reader.follow(undefined)) {
      seen.push(seq);
      if (seen.length === 2) return;
      await put('b');
    }
  })();
  const streams = async (): Promise<string> => (await node.api.inject('/metrics')).payload;
  while (!/^x0t_stream_clients 1$/m.test(await streams())) await sleep(20);
  // the reader has had the first message by then, also where this process was held up: it comes to
  // its sockets at each step
  for (let step = 0; step < 50; step++) await sleep(20);
  // before there was any event, so that only the node has said where the stream stands
  svid.set(served(own));
  ahead_ms = LATER_MS;
  const { seq: first = 0 } = await put('a');
  await reading;
  t.deepEqual(seen, [first, first + 1]);
});

test.serial('a stream is gone on with where the SVID of its reader has been renewed', async (t) => {
  let ahead_ms = 0;
  const { port, permit, node } = await startTlsNode(t, () => ahead_ms);
  const policy = `permit (principal == Spiffe::"${WEB}", action in Action::"read", resource);`;
  await permit(policy);
  const first = node.core.replica.fold.size;
  let shown = served(await craftLeaf(root, { ...SHORT, uris: [WEB] }), WEB);
  const reader = clientAt(port, { secureFetch: trusting(new HeldTrust(), { own: () => shown }) });
  const seen: (number | undefined)[] = [];
  for await (const { seq } of reader.follow(first)) {
    seen.push(seq);
    if (seen.length === 2) break;
    shown = served(web, WEB);
    ahead_ms = LATER_MS;
    // who may read is asked again then
    await permit(policy);
  }
  t.deepEqual(seen, [first, first + 1]);
});
