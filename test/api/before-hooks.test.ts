import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { assertPermitted } from '#node/api/permission.ts';
import type { Guard } from '#node/api/permission.ts';
import { codeIn } from '#test/support/codes.ts';
import { startSingleNode } from '#test/support/single-node.ts';

/** However odd a request is: who proves nothing learns nothing from its answer, and is counted. */

const node = await startSingleNode();
const url = new URL(await node.api.listen({ host: '127.0.0.1', port: 0 }));
test.after.always(() => node.close());

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly isClosed: boolean;
}

/** Of 20 ms each, if this process comes to run: it sees to its sockets at each of them. */
const STEPS_MAX = 50;

/** What is answered to these lines, written as they are, within a second. */
async function send(lines: readonly string[], at = url): Promise<Answer> {
  const socket = connect({ host: at.hostname, port: Number(at.port) });
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', () => socket.destroy());
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  const state = { isEnded: false, isClosed: false };
  socket.once('end', () => (state.isEnded = true));
  socket.once('close', () => (state.isClosed = true));
  for (let i = 0; i < STEPS_MAX && !state.isEnded && !state.isClosed; i++) await sleep(20);
  const { isEnded: isClosed } = state;
  socket.destroy();
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  const [, code = ''] = /"code":"([a-z_]+)"/.exec(text) ?? [];
  return { status: Number(status), code, isClosed };
}

const host = `host: ${url.host}`;
const long = 'x'.repeat(3000);
const ODD: readonly (readonly string[])[] = [
  ['GET /v1/kv/%zz HTTP/1.1', host],
  ['PUT /v1/kv/%zz HTTP/1.1', host, 'content-length: 0'],
  ['GET /%zz HTTP/1.1', host],
  ['GET /livez%zz HTTP/1.1', host],
  [`GET /v1/kv/${long} HTTP/1.1`, host],
  [`GET /v1/members/${long} HTTP/1.1`, host],
  [`GET /v1/events/${long} HTTP/1.1`, host],
  ['GET /v1/status HTTP/1.1', host, 'accept-version: 9.9.9'],
  ['GET /livez/../v1/status HTTP/1.1', host],
  ['GET //livez HTTP/1.1', host],
  ['GET /v1/status;x HTTP/1.1', host],
  ['PROPFIND /v1/status HTTP/1.1', host],
  ['OPTIONS /v1/status HTTP/1.1', host],
  ['TRACE /v1/status HTTP/1.1', host],
  ['QUERY /v1/kv HTTP/1.1', host, 'content-length: 0'],
  ['SEARCH / HTTP/1.1', host],
  ['HEAD /v1/status HTTP/1.1', host],
  ['POST /livez HTTP/1.1', host, 'content-length: 0'],
  ['DELETE /livez HTTP/1.1', host],
  ['GET /v1/status HTTP/1.0'],
  ['GET /v1/status HTTP/1.1', host, 'connection: upgrade', 'upgrade: h2c'],
];

test('what no route takes is answered as what is refused', async (t) => {
  for (const lines of ODD) {
    const { status, code, isClosed } = await send(lines);
    const head = lines[0]?.startsWith('HEAD') === true;
    t.is(`${status} ${code}`, `401 ${head ? '' : 'unauthenticated'}`, lines[0]?.slice(0, 60));
    t.true(isClosed, lines[0]?.slice(0, 60));
  }
});

test('what is no request of a path is refused too, and whatever it expects', async (t) => {
  for (const [lines, code] of [
    [['OPTIONS * HTTP/1.1', host], 'target_not_canonical'],
    [['GET http://x/livez HTTP/1.1', host], 'target_not_canonical'],
    [['GET /v1/status HTTP/1.1', host, 'expect: something'], 'unauthenticated'],
  ] as const) {
    t.deepEqual(await send(lines), { status: 401, code, isClosed: true }, lines[0]);
  }
  for (const [lines, status] of [
    [['GET /v1/status HTTP/1.1'], 400],
    [['GET /v1/status HTTP/3.0', host], 400],
    [['NOPE / HTTP/1.1', host], 400],
    [[`GET /${'x'.repeat(20_000)} HTTP/1.1`, host], 431],
    [['CONNECT x:1 HTTP/1.1', host], Number.NaN],
  ] as const) {
    const answer = await send(lines);
    t.deepEqual([answer.status, answer.isClosed], [status, true], 'the connection ends');
  }
});

test('who proves itself is told what is wrong', async (t) => {
  const own = `authorization: ${node.headers.authorization}`;
  for (const [target, status] of [
    ['/v1/kv/%zz', '400 bad_request'],
    [`/v1/members/${long}`, '400 bad_request'],
    ['/nope', '404 no_such_route'],
  ] as const) {
    const answer = await send([`GET ${target} HTTP/1.1`, host, own, 'connection: close']);
    t.is(`${answer.status} ${answer.code}`, status);
  }
});

test('all of them have the rate of who proves nothing', async (t) => {
  const slow = { perSecond: 0.001, burst: 1 };
  for (const lines of [...ODD.slice(0, 8), ['OPTIONS * HTTP/1.1', host]]) {
    const one = await startSingleNode({ rates: { identity: slow, anonymous: slow } });
    const at = new URL(await one.api.listen({ host: '127.0.0.1', port: 0 }));
    t.is((await send(lines, at)).status, 401);
    const again = [...lines, 'connection: close'];
    t.is((await send(again, at)).code, 'rate_limited', lines[0]?.slice(0, 60));
    const { body } = await one.api.inject('/metrics');
    t.regex(body, /^x0t_http_refusals_total\{code="rate_limited"\} 1$/m);
    await one.close();
  }
});

test('a route that has no name for policies is nobody’s', (t) => {
  const request = { is404: false, routeOptions: { schema: {} }, params: {}, query: {} } as never;
  const callerOf = () => ({
    principal: { type: 'Local', id: 'operator' },
    assertHolds: () => undefined,
  });
  const guard = { callerOf, decisions: undefined } as unknown as Guard;
  t.is(codeIn(() => assertPermitted(guard, request)), 'policy_denied');
});
