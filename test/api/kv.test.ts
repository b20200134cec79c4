import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'ava';
import type { LightMyRequestResponse } from 'fastify';
import { signedEvent, startSingleNode, submission } from '#test/support/single-node.ts';

const node = await startSingleNode();
/** Two validators of which one runs: nothing becomes final. */
const half = await startSingleNode({ validators: 2 });
test.after.always(async () => {
  await node.close();
  await half.close();
});

type Reply = LightMyRequestResponse;
const put = (url: string, payload: string | Buffer, headers = {}): Promise<Reply> =>
  node.api.inject({ method: 'PUT', url, payload, headers });

test('a text comes back as the text that was put', async (t) => {
  const headers = { 'content-type': 'text/plain' };
  const written = await put('/v1/kv/greeting?wait=final', 'héllo', headers);
  t.is(written.statusCode, 200);
  const { id, state, seq, verdict, commit, links } = written.json();
  t.is(state, 'final');
  t.is(verdict, 'applied');
  t.true(seq >= 1 && commit >= 1);
  t.is(links.event, `/v1/events/${id}`);

  const read = await node.api.inject('/v1/kv/greeting');
  t.is(read.statusCode, 200);
  t.is(read.body, 'héllo');
  t.is(read.headers['content-type'], 'text/plain');
  t.is(read.headers.etag, `"${seq}"`);
  t.is(read.headers['x-x0t-level'], 'final');
  t.true(Number(read.headers['x-x0t-final-seq']) >= seq);
  t.true(Number(read.headers['x-x0t-commit']) >= commit);
  t.is(read.headers['x-x0t-quorum'], 'reachable');
  t.is(read.headers['x-content-type-options'], 'nosniff');

  const event = (await node.api.inject(links.event)).json();
  t.false(event.signed, 'what is only told when final needs no signature of its own');
});

test('bytes of no type come back as they are', async (t) => {
  const bytes = Buffer.from([0, 255, 10, 13, 128]);
  t.is((await put('/v1/kv/blob?wait=final', bytes)).statusCode, 200);
  const read = await node.api.inject('/v1/kv/blob');
  t.deepEqual(read.rawPayload, bytes);
  t.is(read.headers['content-type'], 'application/octet-stream');
});

test('an empty value is a value', async (t) => {
  t.is((await put('/v1/kv/empty?wait=final', '')).statusCode, 200);
  const read = await node.api.inject('/v1/kv/empty');
  t.is(read.statusCode, 200);
  t.is(read.rawPayload.length, 0);
});

test('keys are percent-decoded once and may hold slashes', async (t) => {
  for (const key of ['a/b//c', 'ä b', '100%', '%2F', 'q?x=1#y', '日本/東京', 'a+b&c']) {
    const path = key.split('/').map(encodeURIComponent).join('/');
    t.is((await put(`/v1/kv/${path}?wait=final`, key)).statusCode, 200, key);
    t.is((await node.api.inject(`/v1/kv/${encodeURIComponent(key)}`)).body, key);
  }
});

test('without wait=final the event is signed and acknowledged at once', async (t) => {
  const written = await put('/v1/kv/soon', 'x');
  t.is(written.statusCode, 202);
  const { id, state, links } = written.json();
  t.is(state, 'accepted');
  t.is(written.headers.location, links.event);
  t.true((await node.api.inject(`/v1/events/${id}`)).json().signed);
});

test('JSON shows the value in base64 with what the read is based on', async (t) => {
  await put('/v1/kv/json?wait=final', 'abc', { 'content-type': 'application/json' });
  const headers = { accept: 'application/json' };
  const read = await node.api.inject({ url: '/v1/kv/json', headers });
  const { value, type, key, level, finalSeq, commitIndex, pendingCount, quorumReachable, epoch } =
    read.json();
  t.is(Buffer.from(value, 'base64').toString(), 'abc');
  t.is(type, 'application/json');
  t.is(key, 'json');
  t.is(level, 'final');
  t.true(finalSeq >= 1 && commitIndex >= 1 && pendingCount >= 0);
  t.true(quorumReachable);
  t.is(epoch, 0);
});

test('a deleted key is gone', async (t) => {
  await put('/v1/kv/gone?wait=final', 'x');
  const removed = await node.api.inject({ method: 'DELETE', url: '/v1/kv/gone?wait=final' });
  t.is(removed.statusCode, 200);
  const read = await node.api.inject('/v1/kv/gone');
  t.is(read.statusCode, 404);
  t.is(read.json().code, 'no_such_key');
});

test('a precondition that fails is told, and nothing changes', async (t) => {
  const first = await put('/v1/kv/cas?wait=final', 'one');
  const etag = `"${first.json().seq}"`;
  t.is((await put('/v1/kv/cas?wait=final', 'two', { 'if-match': etag })).statusCode, 200);
  const late = await put('/v1/kv/cas?wait=final', 'three', { 'if-match': etag });
  t.is(late.statusCode, 412);
  t.is(late.json().code, 'precondition_failed');
  t.is((await put('/v1/kv/cas?wait=final', 'x', { 'if-none-match': '*' })).statusCode, 412);
  t.is((await put('/v1/kv/cas?wait=final&ifSeq=1', 'x')).statusCode, 412);
  t.is((await node.api.inject('/v1/kv/cas')).body, 'two');
  t.is((await put('/v1/kv/new-cas?wait=final', 'x', { 'if-none-match': '*' })).statusCode, 200);
});

test('an unchanged value is not sent again', async (t) => {
  const { seq } = (await put('/v1/kv/cached?wait=final', 'x')).json();
  const headers = { 'if-none-match': `"${seq}"` };
  const read = await node.api.inject({ url: '/v1/kv/cached', headers });
  t.is(read.statusCode, 304);
  t.is(read.body, '');
});

test('a type that fits no header is shown as plain bytes', async (t) => {
  const body = { key: 'odd-type', value: Uint8Array.of(1), type: 'a/b\r\nset-cookie: c=1' };
  const entry = await signedEvent(node, 7000, { body });
  const headers = { 'content-type': 'application/cbor' };
  const payload = submission(entry, node.operator);
  await node.api.inject({ method: 'POST', url: '/v1/events', headers, payload });
  await node.core.waitFinal(entry.id, 60_000);
  const read = await node.api.inject('/v1/kv/odd-type');
  t.is(read.statusCode, 200);
  t.is(read.headers['content-type'], 'application/octet-stream');
  t.is(read.headers['set-cookie'], undefined);
});

const WRONG: readonly (readonly [string, string, object, number, string])[] = [
  ['a contradictory precondition', '/v1/kv/x?ifSeq=1', { 'if-match': '"2"' }, 400, 'bad_request'],
  ['a weak etag', '/v1/kv/x', { 'if-match': 'W/"2"' }, 400, 'bad_request'],
  ['another If-None-Match', '/v1/kv/x', { 'if-none-match': '"2"' }, 400, 'bad_request'],
  ['an empty key', '/v1/kv/', {}, 400, 'bad_request'],
  ['a key that is no UTF-8', '/v1/kv/%ff', {}, 400, 'bad_request'],
  ['a key of 513 bytes', `/v1/kv/${'a'.repeat(513)}`, {}, 400, 'bad_request'],
  ['a key of 513 bytes in fewer characters', `/v1/kv/${'%C3%A9'.repeat(257)}`, {}, 422, 'bad_body'],
  ['a long type', '/v1/kv/x', { 'content-type': `a/${'b'.repeat(200)}` }, 422, 'bad_body'],
  ['no media type', '/v1/kv/x', { 'content-type': 'nonsense' }, 415, 'unsupported_media_type'],
  ['an unknown parameter', '/v1/kv/x?timout_ms=5', {}, 400, 'bad_request'],
  ['an unknown level', '/v1/kv/x?wait=later', {}, 400, 'bad_request'],
  ['a wait without end', '/v1/kv/x?wait=final&timeout_ms=3600000', {}, 400, 'bad_request'],
];
for (const [title, url, headers, status, code] of WRONG) {
  test(`a put with ${title} is refused`, async (t) => {
    const reply = await put(url, 'x', headers);
    t.is(reply.statusCode, status, reply.body);
    t.is(reply.json().code, code);
    t.is((await node.api.inject('/v1/kv/x')).statusCode, 404);
  });
}

test('a value of 60 KiB is taken and one byte more is not', async (t) => {
  const most = await put('/v1/kv/big?wait=final', Buffer.alloc(60 * 1024));
  t.is(most.statusCode, 200);
  const more = await put('/v1/kv/big?wait=final', Buffer.alloc(60 * 1024 + 1));
  t.is(more.statusCode, 413);
  t.is(more.json().code, 'body_too_large');
});

test('what is not final shows at the level accepted only, and wait=final says so', async (t) => {
  const url = '/v1/kv/held';
  const slow = `${url}?wait=final&timeout_ms=50`;
  const late = await half.api.inject({ method: 'PUT', url: slow, payload: 'x' });
  t.is(late.statusCode, 504);
  const { code, detail } = late.json();
  t.is(code, 'final_timeout');
  t.is((await half.api.inject(detail.event)).json().state, 'accepted');

  const read = await half.api.inject(`${url}?level=accepted`);
  t.is(read.body, 'x');
  t.regex(String(read.headers.etag), /^W\//);
  t.is(read.headers['x-x0t-level'], 'accepted');
  t.is(read.headers['x-x0t-quorum'], 'unreachable');
  t.true(Number(read.headers['x-x0t-pending']) >= 1);
  t.is((await half.api.inject(url)).statusCode, 404);
});

test('a write that waits for finality does not keep the node from stopping', async (t) => {
  const waiting = await startSingleNode({ validators: 2 });
  const url = `${await waiting.api.listen({ host: '127.0.0.1', port: 0 })}/v1/kv/a?wait=final`;
  const { headers } = waiting;
  const reply = fetch(`${url}&timeout_ms=60000`, { method: 'PUT', body: 'x', headers });
  while (waiting.core.replica.pool.size === 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const start_ms = performance.now();
  const closed = waiting.close();
  const response = await reply;
  t.is(response.status, 503);
  t.is(response.headers.get('connection'), 'close');
  t.is(((await response.json()) as { code: string }).code, 'stopping');
  await closed;
  // it would have waited for a minute
  t.true(performance.now() - start_ms < 30_000);
});

test('a client that never ends its request does not keep the node from stopping', async (t) => {
  const waiting = await startSingleNode();
  const { port } = new URL(await waiting.api.listen({ host: '127.0.0.1', port: 0 }));
  const accepted = once(waiting.api.server, 'connection');
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => undefined);
  const head = `host: localhost\r\nauthorization: ${waiting.headers.authorization}`;
  socket.write(`PUT /v1/kv/a HTTP/1.1\r\n${head}\r\ncontent-length: 9\r\n\r\nhalf`);
  await accepted;
  const start_ms = performance.now();
  await waiting.close();
  // for such a request a node waits 15 seconds
  t.true(performance.now() - start_ms < 12_000);
  socket.destroy();
});

test('pages of a listing hold every key once, in order', async (t) => {
  const keys = Array.from({ length: 25 }, (_, i) => `page/${String(i).padStart(2, '0')}`);
  await Promise.all(keys.map((key) => put(`/v1/kv/${key}?wait=final`, key)));
  await put('/v1/kv/page0?wait=final', 'not of the prefix');
  const seen: string[] = [];
  let after = '';
  for (;;) {
    const page = (await node.api.inject(`/v1/kv?prefix=page/&limit=10${after}`)).json();
    t.true(page.entries.length <= 10);
    t.is(page.level, 'final');
    for (const { key, value } of page.entries) {
      t.is(Buffer.from(value, 'base64').toString(), key);
      seen.push(key);
    }
    if (page.next === undefined) break;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
  t.deepEqual(seen, keys);
});

test('a listing at the level accepted merges what is not final', async (t) => {
  for (const key of ['list/b', 'list/a', 'list/c', 'other']) {
    await half.api.inject({ method: 'PUT', url: `/v1/kv/${key}`, payload: key });
  }
  await half.api.inject({ method: 'DELETE', url: '/v1/kv/list/b' });
  const url = '/v1/kv?prefix=list/';
  t.deepEqual((await half.api.inject(url)).json().entries, []);
  const page = (await half.api.inject(`${url}&level=accepted`)).json();
  t.deepEqual(page.entries.map(({ key }: { key: string }) => key), ['list/a', 'list/c']);
  const first = (await half.api.inject(`${url}&level=accepted&limit=1`)).json();
  t.is(first.next, 'list/a');
  const rest = (await half.api.inject(`${url}&level=accepted&after=list/a`)).json();
  t.deepEqual(rest.entries.map(({ key }: { key: string }) => key), ['list/c']);
});

test('at the level accepted, pending changes stand between final keys', async (t) => {
  const merging = await startSingleNode();
  t.teardown(() => merging.close());
  for (const key of ['m/1', 'm/3', 'm/5']) {
    await merging.api.inject({ method: 'PUT', url: `/v1/kv/${key}?wait=final`, payload: key });
  }
  const value = Uint8Array.of(1);
  const changes = [
    await signedEvent(merging, 1, { body: { key: 'm/2', value } }),
    await signedEvent(merging, 2, { kind: 'kv.delete/1', body: { key: 'm/3' } }),
    await signedEvent(merging, 3, { body: { key: 'm/6', value } }),
  ];
  const { coseKey } = merging.operator;
  for (const entry of changes) {
    // never due: it stays as it is
    merging.core.replica.pool.add({ entry, coseKey, isOwn: false, due_ms: Infinity });
  }
  const keysAt = async (query: string): Promise<string[]> => {
    const page = (await merging.api.inject(`/v1/kv?prefix=m/&${query}`)).json();
    return page.entries.map(({ key }: { key: string }) => key);
  };
  t.deepEqual(await keysAt('level=final'), ['m/1', 'm/3', 'm/5']);
  t.deepEqual(await keysAt('level=accepted'), ['m/1', 'm/2', 'm/5', 'm/6']);
  t.deepEqual(await keysAt('level=accepted&limit=2'), ['m/1', 'm/2']);
  t.deepEqual(await keysAt('level=accepted&limit=2&after=m/2'), ['m/5', 'm/6']);
});

test('a cursor that is not of the listing is refused', async (t) => {
  const reply = await node.api.inject('/v1/kv?prefix=b&after=a');
  t.is(reply.statusCode, 400);
  t.is(reply.json().code, 'bad_request');
  t.is((await node.api.inject('/v1/kv?limit=1001')).statusCode, 400);
  t.is((await node.api.inject('/v1/kv?limit=0')).statusCode, 400);
});
