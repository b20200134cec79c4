import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { request } from 'node:https';
import { connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { BundleEndpointServer } from '#node/identity/bundle-endpoint.ts';
import type { OwnIdentity } from '#node/identity/own-svid.ts';
import { craftCa, craftLeaf } from './craft.ts';
import { quietLog } from './support.ts';

/** What strangers can do to the bundle endpoint. */

async function serve(t: ExecutionContext, document: () => string | undefined): Promise<number> {
  const { certificate, pkcs8 } = await craftLeaf(await craftCa());
  const body = Buffer.from(pkcs8).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`;
  const current = { cert: certificate.openssl.toString(), key };
  const own = { current, subscribe: () => () => undefined } as unknown as OwnIdentity;
  const at = { host: '127.0.0.1', port: 0 };
  const server = await BundleEndpointServer.open(at, { own, document, log: quietLog });
  t.teardown(() => server.close());
  return server.port;
}

const statusOf = (port: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, rejectUnauthorized: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.on('error', reject).end();
  });

/** Resolves once the server has ended it. */
function idle(t: ExecutionContext, port: number): { socket: Socket; ended: Promise<void> } {
  const socket = connect({ host: '127.0.0.1', port });
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined).resume();
  return { socket, ended: new Promise((resolve) => void socket.once('close', () => resolve())) };
}

test('a document that cannot be made is answered with 503, and the server goes on', async (t) => {
  let isBroken = true;
  const port = await serve(t, () => {
    if (isBroken) throw new TypeError('no JWK of this key');
    return '{}';
  });
  t.is(await statusOf(port), 503);
  isBroken = false;
  t.is(await statusOf(port), 200);
});

test('one address gets its share of the connections, and never all', async (t) => {
  // of 64 places one alone gets two thirds
  const refused = 60 - 43;
  for (let [isDone, tries] = [false, 1]; !isDone; tries += 1) {
    t.true(tries <= 10, 'nobody is refused');
    const port = await serve(t, () => '{}');
    const from_ms = performance.now();
    const ended: Socket[] = [];
    const held = Array.from({ length: 60 }, () => idle(t, port));
    for (const one of held) void one.ended.then(() => ended.push(one.socket));
    const isOver = (): boolean => performance.now() - from_ms > 5000;
    while (ended.length < refused && !isOver()) await sleep(20);
    const { length } = ended;
    // then those end that have said nothing
    isDone = !isOver();
    if (isDone) t.is(length, refused);
    for (const { socket } of held) socket.destroy();
  }
});

test('a handshake without a request ends after five seconds, give or take one', async (t) => {
  t.timeout(120_000);
  const port = await serve(t, () => '{}');
  // counted while this process runs, as the server's time is
  let tenths = 0;
  const timer = setInterval(() => (tenths += 1), 100);
  t.teardown(() => clearInterval(timer));
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined).resume();
  await new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  t.true(tenths < 80, `${tenths / 10} s`);
});
