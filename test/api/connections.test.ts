import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { UNPROVED_IDLE_MS } from '#node/api/unproved.ts';
import { startSingleNode } from '#test/support/single-node.ts';
import { watchStalls } from '#test/support/stalls.ts';

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

/** Waits until the other side has closed it; the time that it took from a moment on. */
async function closedAfter(socket: Socket, from_ms: number): Promise<number> {
  while (socket.readyState !== 'closed') await sleep(20);
  return performance.now() - from_ms;
}

const own = `/v1/status HTTP/1.1\r\nauthorization: ${node.headers.authorization}\r\n`;

test.serial('who is refused keeps no connection, who proves itself does', async (t) => {
  const refused = await open('/v1/status HTTP/1.1\r\n');
  const kept = await open(own);
  // soon, in steps at which this process sees to its sockets: not for being idle
  for (let i = 0; i < 100 && refused.readyState !== 'closed'; i++) await sleep(10);
  t.is(refused.readyState, 'closed');
  t.is(kept.readyState, 'open');
  kept.destroy();
});

test.serial('an idle connection goes where nothing was proved', async (t) => {
  const stalls = watchStalls(t);
  const from_ms = performance.now();
  const silent = await open(undefined);
  const probing = await open('/livez HTTP/1.1\r\n');
  const kept = await open(own);
  const took = await Promise.all([silent, probing].map((one) => closedAfter(one, from_ms)));
  const lost_ms = stalls.since(from_ms);
  for (const took_ms of took) {
    t.true(took_ms > UNPROVED_IDLE_MS - 1000, `${took_ms} ms`);
    t.true(took_ms - lost_ms < UNPROVED_IDLE_MS + 2000, `${took_ms} ms, of them lost ${lost_ms}`);
  }
  t.is(kept.readyState, 'open');
  kept.destroy();
});

test.serial('many addresses of a machine are one party, whose next call gets in', async (t) => {
  const held: Socket[] = [];
  const countOpen = () => held.filter(({ readyState }) => readyState === 'open').length;
  t.teardown(() => held.forEach((socket) => socket.destroy()));
  const crowd = async (): Promise<{ count: number; took_ms: number }> => {
    for (const socket of held.splice(0)) socket.destroy();
    const from_ms = performance.now();
    for (let host = 1; host <= 15; host++) {
      const opening = Array.from({ length: 64 }, () => open(undefined, `127.0.1.${host}`));
      held.push(...(await Promise.all(opening)));
    }
    for (let i = 0; i < 600 && countOpen() > 684; i++) await sleep(100);
    return { count: countOpen(), took_ms: performance.now() - from_ms };
  };
  let found = await crowd();
  // again where the machine held this up until the first ones went for being idle
  for (let i = 0; i < 4 && found.took_ms > UNPROVED_IDLE_MS - 1000; i++) found = await crowd();
  const { count } = found;
  t.true(count > 100 && count <= 684, `${count}`);
  const answer = await fetch(new URL('/v1/status', url), { headers: { ...node.headers } });
  t.is(answer.status, 200);
});
