import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { signRequest } from '#node/auth/request-signature.ts';
import { withSignature } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { partsOf } from '#test/auth/signed-request.ts';
import { nextSecond } from '#test/support/next-second.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { signedEvent, startSingleNode, submission } from '#test/support/single-node.ts';
import type { SingleNode } from '#test/support/single-node.ts';

/** Nobody gets anything for where it comes from: every caller shows who it is, in one way. */

const operator = seededActor('authenticated operator');
const stranger = seededActor('authenticated stranger');
const net = netOf([seededActor('authenticating')], [operator], 'auth', newGenesisSchema());
const node = await startSingleNode({ net });
const plain = await startSingleNode();
const url = await node.api.listen({ host: '127.0.0.1', port: 0 });
test.after.always(() => Promise.all([node.close(), plain.close()]));

interface Reply {
  readonly status: number;
  readonly code: string;
  readonly challenge: string | undefined;
}

async function ask(
  one: SingleNode,
  path: string,
  headers: Record<string, string>,
  remoteAddress = '127.0.0.1',
): Promise<Reply> {
  const answer = await one.inject({ url: path, headers, remoteAddress });
  const { statusCode: status, headers: shown, body } = answer;
  const { code = 'ok' } = body.startsWith('{') ? (JSON.parse(body) as { code?: string }) : {};
  return { status, code, challenge: shown['www-authenticate'] as string | undefined };
}

const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` });

const PATHS = [
  '/metrics', '/v1/status', '/v1/kv', '/v1/kv/a', '/v1/log', '/v1/log/stream', '/v1/members',
  '/v1/genesis', '/v1/kinds', '/v1/identity/bundle', '/v1/policy', '/v1/policy/decisions',
  '/v1/checkpoints/latest', '/openapi.json', '/v1/events/x', '/nope', '/',
];

for (const [name, one] of [['with', node], ['without', plain]] as const) {
  test(`${name} policies, who proves nothing sees that a node lives and is ready`, async (t) => {
    for (const path of ['/livez', '/readyz']) t.is((await ask(one, path, {})).status, 200, path);
    for (const path of PATHS) {
      const { status, code, challenge } = await ask(one, path, {});
      t.is(`${status} ${code}`, '401 unauthenticated', path);
      t.is(challenge, 'Bearer realm="x0t"');
    }
  });

  test(`${name} policies, the operator token does all, the monitoring token metrics`, async (t) => {
    const own = bearer(one.tokens.operator);
    for (const path of ['/metrics', '/v1/status', '/v1/log', '/openapi.json', '/v1/kv']) {
      t.is((await ask(one, path, own)).code, 'ok', path);
    }
    t.is((await ask(one, '/nope', own)).status, 404);
    const monitor = bearer(one.tokens.monitor);
    for (const address of ['127.0.0.1', '192.0.2.9']) {
      t.is((await ask(one, '/metrics', monitor, address)).status, 200);
      t.is((await ask(one, '/v1/status', monitor, address)).code, 'policy_denied');
    }
  });
}

test('the operator token is of this machine, by its own name, without a proxy', async (t) => {
  const own = bearer(node.tokens.operator);
  for (const address of ['192.0.2.9', '10.0.0.1', '::ffff:192.0.2.9', 'fe80::1', '128.0.0.1']) {
    t.is((await ask(node, '/v1/status', own, address)).code, 'token_not_local', address);
  }
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
    t.is((await ask(node, '/v1/status', own, address)).code, 'ok', address);
  }
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.nip.io:80', 'x:80']) {
    t.is((await ask(node, '/v1/status', { ...own, host })).code, 'token_not_local', host);
  }
  for (const host of ['localhost', 'localhost:9', '127.0.0.1:8420', '[::1]:8420']) {
    t.is((await ask(node, '/v1/status', { ...own, host })).code, 'ok', host);
  }
  for (const name of ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']) {
    const { code } = await ask(node, '/v1/status', { ...own, [name]: '127.0.0.1' });
    t.is(code, 'token_not_local', name);
  }
});

test('what does not hold is refused, and never taken for nothing', async (t) => {
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [bearer('A'.repeat(43)), 'token_wrong'],
    [bearer(node.tokens.operator.slice(1)), 'token_wrong'],
    [bearer(plain.tokens.operator), 'token_wrong'],
    [bearer(''), 'credentials_unknown'],
    [bearer('a b'), 'credentials_unknown'],
    [{ authorization: 'Basic eDp5' }, 'credentials_unknown'],
    [{ authorization: node.tokens.operator }, 'credentials_unknown'],
    [bearer('a.b.c'), 'trust_domain_unknown'],
    [{ signature: 'sig=:AA==:' }, 'signature_malformed'],
    [{ 'signature-input': 'sig=("@method");created=1' }, 'signature_malformed'],
    [{ signature: '', 'signature-input': '' }, 'signature_malformed'],
  ];
  for (const [headers, code] of cases) {
    const reply = await ask(node, '/v1/status', headers);
    t.is(`${reply.status} ${reply.code}`, `401 ${code}`, JSON.stringify(headers));
    t.regex(reply.challenge ?? '', /^Bearer realm="x0t", error="invalid_token"$/);
    t.is((await ask(node, '/nope', headers)).code, code);
  }
});

test('what is refused is counted by its code', async (t) => {
  const one = await startSingleNode();
  t.teardown(() => one.close());
  await ask(one, '/v1/status', {});
  for (let i = 0; i < 3; i++) await ask(one, '/v1/status', bearer('A'.repeat(43)));
  const { body } = await one.api.inject('/metrics');
  t.regex(body, /^x0t_http_refusals_total\{code="unauthenticated"\} 1$/m);
  t.regex(body, /^x0t_http_refusals_total\{code="token_wrong"\} 3$/m);
});

test('two proofs in one request are refused, whether they hold or not', async (t) => {
  const own = bearer(node.tokens.operator);
  const parts = partsOf(operator, Date.now);
  const request = { method: 'GET', url: `${url}/v1/status`, headers: {} };
  const signature = await signRequest(request, undefined, parts);
  for (const headers of [
    { ...own, ...signature },
    { ...own, signature: 'x' },
    { ...bearer('x.y.z'), 'signature-input': 'x' },
  ]) {
    t.is((await ask(node, '/v1/status', headers)).code, 'credentials_ambiguous');
  }
  const raw = [['authorization', own.authorization], ['authorization', own.authorization]];
  const twice = await fetch(`${url}/v1/status`, { headers: raw as [string, string][] });
  t.is(twice.status, 401);
});

test('who signs is the actor that policies speak of; strangers are nobody', async (t) => {
  const own = netOf([seededActor('named')], [operator], 'named', newGenesisSchema());
  const one = await startSingleNode({ net: own });
  t.teardown(() => one.close());
  const base = await one.api.listen({ host: '127.0.0.1', port: 0 });
  // in the first second after the start, too: the client signs again
  const signer = new Client(base, { auth: withSignature(operator) });
  const value = Uint8Array.of(1);
  t.is((await signer.putKv('signed/a b', value, 'text/x', { isFinal: true })).state, 'final');
  t.is((await signer.getKv('signed/a b')).value, 'AQ==');
  t.true((await signer.listKv({ prefix: 'signed/' })).entries.length === 1);
  await t.throwsAsync(new Client(base, { auth: withSignature(stranger) }).status(), {
    message: /present one of a member/,
  });
  t.is(codeOf(await t.throwsAsync(new Client(base).status())), 'unauthenticated');
  const text = `forbid (principal, action == Action::"api.kv.read", resource)
    unless { principal == Actor::"${operator.actor}" };`;
  const entry = await signedEvent(one, 1, { kind: 'policy.put/1', body: { id: 'mine', text } });
  await signer.waitFinal((await signer.submit(entry.bytes, operator.coseKey)).id);
  t.is((await signer.getKv('signed/a b')).value, 'AQ==');
  t.is((await ask(one, '/v1/kv/x', bearer(one.tokens.operator))).code, 'policy_denied');
});

/** The status of what is answered to a PUT whose body is framed by hand. */
async function sendRaw(to: string, headers: Record<string, string>, body: string): Promise<number> {
  const { host, hostname, port, pathname } = new URL(to);
  const socket = connect({ host: hostname, port: Number(port) });
  const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}`);
  socket.write(`PUT ${pathname} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer.toString())?.[1]);
}

test('a signed body is the one that counts, and a signed request counts once', async (t) => {
  await nextSecond();
  const target = `${url}/v1/kv/c`;
  const body = new TextEncoder().encode('signed');
  const request = { method: 'PUT', url: target, headers: { 'content-type': 'text/plain' } };
  const send = async (headers: Record<string, string>, sent: string): Promise<string> => {
    const response = await fetch(target, { method: 'PUT', headers, body: sent });
    const { code = 'ok' } = (await response.json()) as { code?: string };
    t.is(response.status, code === 'ok' ? 202 : 401, code);
    return code;
  };
  const sign = () => signRequest(request, body, partsOf(operator, Date.now));
  t.is(await send(await sign(), 'forged'), 'signature_wrong');
  t.is(await send(await sign(), 'signed and more'), 'signature_wrong');
  const read = await node.api.inject('/v1/kv/c?level=accepted');
  t.is(read.statusCode, 404, 'nothing of it was written');
  t.is(await send(await sign(), ''), 'signature_wrong', 'stripped on the way');
  const chunked = { ...(await sign()), 'transfer-encoding': 'chunked' };
  t.is(await sendRaw(target, chunked, '0\r\n\r\n'), 401, 'a body of no chunks');
  t.is(await sendRaw(target, { ...(await sign()), upgrade: 'x', connection: 'upgrade' }, ''), 401);
  const again = await sign();
  t.is(await send(again, 'signed'), 'ok');
  t.is(await send(again, 'signed'), 'signature_replayed');
  const old = partsOf(operator, () => Date.now() - 3_600_000);
  t.is(await send(await signRequest(request, body, old), 'signed'), 'signature_stale');
  const halved = { ...(await sign()), Signature: 'sig=:AA==:' };
  t.is(await send(halved, 'signed'), 'signature_wrong');
});

test('each identity has its rate, and each address that proves nothing', async (t) => {
  // none comes back while this runs
  const slow = { perSecond: 0.001, burst: 3 };
  const one = await startSingleNode({ rates: { identity: slow, anonymous: slow } });
  t.teardown(() => one.close());
  const codes = async (path: string, headers: Record<string, string>, address?: string) => {
    const found = [];
    for (let i = 0; i < 5; i++) found.push((await ask(one, path, headers, address)).code);
    return found;
  };
  const own = bearer(one.tokens.operator);
  const ok = ['ok', 'ok', 'ok', 'rate_limited', 'rate_limited'];
  t.deepEqual(await codes('/v1/status', own), ok);
  t.deepEqual(await codes('/metrics', bearer(one.tokens.monitor)), ok, 'another identity');
  const none = ok.map((code) => (code === 'ok' ? 'unauthenticated' : code));
  t.deepEqual(await codes('/v1/status', {}, '192.0.2.1'), none);
  t.is((await ask(one, '/readyz', {}, '192.0.2.1')).code, 'ok', 'probes have a rate of their own');
  t.deepEqual(await codes('/livez', {}, '192.0.2.2'), ok);
  t.deepEqual(await codes('/readyz', {}), ok.map(() => 'ok'), 'nobody here starves health checks');
  t.deepEqual(await codes('/livez', {}, '2001:db8::1'), ok);
  t.is((await ask(one, '/livez', {}, '2001:db8::2')).code, 'rate_limited', 'the same network');
  t.is((await ask(one, '/livez', {}, '2001:db8:1::2')).code, 'ok');
  const late = await one.api.inject({ url: '/v1/status' });
  t.is(late.statusCode, 429);
  t.regex(String(late.headers['retry-after']), /^[1-9]/);
});

test('an open stream ends when its reader is no longer permitted, with the reason', async (t) => {
  const one = await startSingleNode({
    net: netOf([seededActor('streaming')], [operator], 'stream', newGenesisSchema()),
  });
  t.teardown(() => one.close());
  const base = await one.api.listen({ host: '127.0.0.1', port: 0 });
  const { headers } = one;
  const answer = await fetch(`${base}/v1/log/stream`, { headers });
  t.is(answer.status, 200);
  const text = `forbid (principal, action == Action::"api.log.read", resource);`;
  const entry = await signedEvent(one, 1, { kind: 'policy.put/1', body: { id: 'closed', text } });
  const payload = submission(entry, operator);
  const type = { 'content-type': 'application/cbor' };
  await one.api.inject({ method: 'POST', url: '/v1/events', headers: type, payload });
  const all = await answer.text();
  const [, last = ''] = /event: error\ndata: (.*)\n\n$/.exec(all) ?? [];
  t.is((JSON.parse(last) as { code: string }).code, 'policy_denied');
  t.false(all.includes('id: 1\n'), 'nothing of what it may not read any more');
  const next = await fetch(`${base}/v1/log/stream`, { headers });
  t.is(next.status, 403);
  await next.body?.cancel();
});
