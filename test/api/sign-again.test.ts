import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { withSignature } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

/** A request that a node refuses as signed too early is signed anew, once. */

const actor = seededActor('signs again');

interface Asked {
  readonly method: string | undefined;
  readonly body: string;
  readonly input: string;
  readonly at_ms: number;
}

/** A node that refuses so many requests with `detail`; what it was asked. */
async function refusing(
  t: ExecutionContext,
  times: number,
  detail: () => object,
  host = '127.0.0.1',
) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const input = String(request.headers['signature-input']);
      const body = Buffer.concat(chunks).toString();
      asked.push({ method: request.method, body, input, at_ms: Date.now() });
      const isRefused = asked.length <= times;
      const envelope = { code: 'signature_stale', message: 'again', requestId: '1' };
      response.writeHead(isRefused ? 401 : 202, { 'content-type': 'application/json' });
      response.end(JSON.stringify(isRefused ? { ...envelope, detail: detail() } : { id: 'e' }));
    });
  }).listen(0, host);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = new Client(`http://${host}:${port}`, { auth: withSignature(actor) });
  const put = () => client.putKv('k', new TextEncoder().encode('value'));
  return { asked, put, client };
}

const nextSecond = (): number => Math.floor(Date.now() / 1000) + 1;

test('it waits for the second that the node names, and signs anew', async (t) => {
  let from_s = 0;
  const { asked, put } = await refusing(t, 1, () => ({ from_s: (from_s = nextSecond()) }));
  t.like(await put(), { id: 'e' });
  t.is(asked.length, 2);
  const [first, second] = asked as [Asked, Asked];
  t.true(second.at_ms >= from_s * 1000);
  const created = Number(/created=(\d+)/.exec(second.input)?.[1]);
  t.true(created >= from_s);
  t.not(first.input, second.input, 'another nonce');
  t.deepEqual([second.method, second.body], ['PUT', 'value']);
});

test('no more than once, not for long, and for no other reason', async (t) => {
  const cases = [
    ['it is refused again', 2, () => ({ from_s: nextSecond() })],
    ['another clock', 1, () => ({ from_s: nextSecond() + 60 })],
    ['it counts already', 1, () => ({ from_s: nextSecond() - 60 })],
    ['too old or ahead', 1, () => ({ seconds: 31 })],
  ] as const;
  for (const [name, count, detail] of cases) {
    const { asked, put } = await refusing(t, 9, detail);
    const error = await t.throwsAsync(put());
    t.is(codeOf(error), 'signature_stale', name);
    t.is(asked.length, count, name);
  }
});

test('where another may have answered, no write is signed a second time', async (t) => {
  // not a loopback address by its name
  const { asked, put, client } = await refusing(t, 9, () => ({ from_s: nextSecond() }), '0.0.0.0');
  t.is(codeOf(await t.throwsAsync(put())), 'signature_stale');
  t.is(codeOf(await t.throwsAsync(client.deleteKv('k'))), 'signature_stale');
  t.deepEqual(asked.map(({ method }) => method), ['PUT', 'DELETE']);
  const bytes = Uint8Array.of(1);
  t.is(codeOf(await t.throwsAsync(client.submit(bytes, bytes))), 'signature_stale');
  t.is(codeOf(await t.throwsAsync(client.status())), 'signature_stale');
  t.deepEqual(asked.slice(2).map(({ method }) => method), ['POST', 'POST', 'GET', 'GET']);
});
