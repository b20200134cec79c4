import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { UNPROVED_IDLE_MS } from '#node/api/unproved.ts';
import { startSingleNode } from '#test/support/single-node.ts';

/** What a connection costs on which nobody proves who it is. */

const node = await startSingleNode();
const url = new URL(await node.api.listen({ host: '127.0.0.1', port: 0 }));
test.after.always(() => node.close());

/** A connection that asks once, if at all; `from` is any address of this machine. */
async function open(headers: string | undefined, from = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host: url.hostname, port: Number(url.port), localAddress: from });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => socket.destroy());
  if (headers !== undefined) socket.write(`GET ${headers}host: ${url.host}\r\n\r\n`);
  socket.resume();
  return socket;
}

const own = `/v1/status HTTP/1.1\r\nauthorization: ${node.headers.authorization}\r\n`;

test.serial('who is refused keeps no connection, who proves itself does', async (t) => {
  const refused = await open('/v1/status HTTP/1.1\r\n');
  const kept = await open(own);
  await sleep(500);
  t.is(refused.readyState, 'closed');
  t.is(kept.readyState, 'open');
  kept.destroy();
});

test.serial('an idle connection goes where nothing was proved', async (t) => {
  const silent = await open(undefined);
  const probing = await open('/livez HTTP/1.1\r\n');
  const kept = await open(own);
  await sleep(UNPROVED_IDLE_MS - 1000);
  t.deepEqual([silent, probing, kept].map((one) => one.readyState), ['open', 'open', 'open']);
  await sleep(2000);
  t.deepEqual([silent, probing, kept].map((one) => one.readyState), ['closed', 'closed', 'open']);
  kept.destroy();
});

test.serial('many addresses of a machine are one party, whose next call gets in', async (t) => {
  const held: Socket[] = [];
  t.teardown(() => held.forEach((socket) => socket.destroy()));
  for (let host = 1; host <= 15; host++) {
    const opening = Array.from({ length: 64 }, () => open(undefined, `127.0.1.${host}`));
    held.push(...(await Promise.all(opening)));
  }
  let count = held.length;
  for (let i = 0; i < 30 && count > 684; i++) {
    await sleep(100);
    count = held.filter(({ readyState }) => readyState === 'open').length;
  }
  t.true(count > 100 && count <= 684, `${count}`);
  const answer = await fetch(new URL('/v1/status', url), { headers: { ...node.headers } });
  t.is(answer.status, 200);
});
