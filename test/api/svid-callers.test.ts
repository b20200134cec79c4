import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, connect as connectTcp } from 'node:net';
import type { AddressInfo } from 'node:net';
import { request as httpsRequest } from 'node:https';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { SignJWT } from 'jose';
import { CLOCK_SKEW_MS } from '#node/identity/limits.ts';
import type { JwtAuthority } from '#node/identity/jwt-svid.ts';
import { craftCa, craftLeaf } from '#test/identity/craft.ts';
import type { Crafted } from '#test/identity/craft.ts';
import {
  HOUR_MS, NODE_ID, NOW_MS, TIMES, WEB, certPem, foreign, keyPem, other, own, root, served,
  startTlsNode, web,
} from '#test/support/tls-node.ts';
import { watchStalls } from '#test/support/stalls.ts';

/** Workloads at the API: with the SVID of their connection, or a token, anew for every request. */

const PERMIT_WEB = `permit (principal == Spiffe::"${WEB}", action in Action::"read", resource);`;
const FORBID_WEB = `forbid (principal == Spiffe::"${WEB}", action, resource);`;

interface Shown {
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}

const CLIENT = {
  host: '127.0.0.1',
  // whom a client believes is its own business: here only what the node believes is tested
  rejectUnauthorized: false,
} as const;

/** The code of the answer, `ok`, or why there was none. */
async function ask(port: number, { token, ...shown }: Shown, path = '/v1/status'): Promise<string> {
  return new Promise((resolve) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const sent = httpsRequest({ ...CLIENT, port, path, headers, agent: false, ...shown }, (got) => {
      let text = '';
      got.setEncoding('utf8').on('data', (part: string) => (text += part));
      got.on('end', () => {
        const { code = 'ok' } = JSON.parse(text) as { code?: string };
        resolve(code);
      });
    });
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end();
  });
}

const showing = (leaf: Crafted, ...more: readonly Crafted[]): Shown => ({
  cert: certPem(leaf, ...more),
  key: keyPem(leaf),
});

test('an SVID calls by mTLS, allowed by one policy and denied after it changes', async (t) => {
  const { port, permit } = await startTlsNode(t);
  t.is(await ask(port, showing(web)), 'policy_denied', 'nothing permits it yet');
  await permit(PERMIT_WEB);
  t.is(await ask(port, showing(web)), 'ok');
  const db = await craftLeaf(root, { ...TIMES, uris: ['spiffe://example.org/db'] });
  t.is(await ask(port, showing(db)), 'policy_denied');
  await permit(FORBID_WEB);
  t.is(await ask(port, showing(web)), 'policy_denied');
  t.is(await ask(port, {}), 'unauthenticated', 'TLS alone proves nothing');
  t.is(await ask(port, {}, '/livez'), 'ok');
});

test('certificates that are no SVIDs of a trusted domain are refused by their rule', async (t) => {
  const { port, trust, permit } = await startTlsNode(t);
  await permit('permit (principal is Spiffe, action in Action::"read", resource);');
  const leaf = (wish: Parameters<typeof craftLeaf>[1], by = root) =>
    craftLeaf(by, { ...TIMES, uris: [WEB], ...wish });
  const longAgo = { from_ms: NOW_MS - 3 * HOUR_MS, to_ms: NOW_MS - 2 * HOUR_MS };
  const toCome = { from_ms: NOW_MS + HOUR_MS, to_ms: NOW_MS + 2 * HOUR_MS };
  const intermediate = await craftCa({ ...TIMES }, root);
  const below = await leaf({}, intermediate);
  const selfSigned = await craftCa({ ...TIMES, uris: [WEB], ca: false, usage: 1 });
  const unknown = await leaf({ uris: ['spiffe://other.org/web'] }, foreign);
  const alike = await leaf({ uris: ['spiffe://example.org.evil/w'] });
  const cases: readonly (readonly [string, Shown, string])[] = [
    ['expired', showing(await leaf(longAgo)), 'svid_expired'],
    ['not valid yet', showing(await leaf(toCome)), 'svid_not_yet_valid'],
    ['a CA', showing(await craftCa({ ...TIMES, uris: [WEB] }, root)), 'x509_svid_invalid'],
    ['the root itself', showing(root), 'x509_svid_invalid'],
    ['two URIs', showing(await leaf({ uris: [WEB, `${WEB}2`] })), 'x509_svid_invalid'],
    ['no URI', showing(await leaf({ uris: [] })), 'x509_svid_invalid'],
    ['no SPIFFE ID', showing(await leaf({ uris: ['https://a.org/w'] })), 'spiffe_id_invalid'],
    ['dots', showing(await leaf({ uris: ['spiffe://example.org/a/../b'] })), 'spiffe_id_invalid'],
    ['another root of the same name', showing(await leaf({}, other)), 'svid_untrusted'],
    ['self-signed', showing(selfSigned), 'svid_untrusted'],
    ['an unknown domain', showing(unknown), 'trust_domain_unknown'],
    ['a domain that begins alike', showing(alike), 'trust_domain_unknown'],
    ['without its intermediate', showing(below), 'svid_untrusted'],
    ['with it', showing(below, intermediate), 'ok'],
  ];
  for (const [name, shown, code] of cases) t.is(await ask(port, shown), code, name);
  trust.set({ x509: { ...trust.x509, 'other.org': [foreign.certificate] } });
  const wrong = await leaf({ uris: [WEB] }, foreign);
  t.is(await ask(port, showing(wrong)), 'svid_untrusted', 'another domain\'s root');
  const federated = await leaf({ uris: ['spiffe://other.org/web'] }, foreign);
  t.is(await ask(port, showing(federated)), 'ok', 'federated');
  const both = { ...showing(web), token: 'A'.repeat(43) };
  t.is(await ask(port, both), 'credentials_ambiguous');
});

/** Requests over one connection that is kept. */
async function kept(
  t: ExecutionContext,
  port: number,
  shown: Shown,
): Promise<() => Promise<string>> {
  const socket = connectTls({ ...CLIENT, port, ...shown });
  t.teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  return async () => {
    socket.write('GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n');
    let text = '';
    for (;;) {
      const [part] = (await once(socket, 'data')) as [Buffer];
      text += part.toString();
      const [head = '', body = ''] = text.split('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
      if (Buffer.byteLength(body) < length) continue;
      return (JSON.parse(body) as { code?: string }).code ?? 'ok';
    }
  };
}

test('on a connection that is kept, bundles are asked again for each request', async (t) => {
  const { port, trust, permit } = await startTlsNode(t);
  await permit(PERMIT_WEB);
  const next = await kept(t, port, showing(web));
  t.is(await next(), 'ok');
  trust.set({ x509: { 'example.org': [other.certificate] } });
  t.is(await next(), 'svid_untrusted');
  trust.set({ x509: {} });
  t.is(await next(), 'trust_domain_unknown');
  trust.set({ x509: { 'example.org': [other.certificate, root.certificate] } });
  t.is(await next(), 'ok');
  await permit(FORBID_WEB);
  t.is(await next(), 'policy_denied');
});

test('an open stream ends when the authority of its reader is gone', async (t) => {
  const { port, trust, permit } = await startTlsNode(t);
  await permit(PERMIT_WEB);
  const answer = new Promise<string>((resolve, reject) => {
    const path = '/v1/log/stream';
    httpsRequest({ ...CLIENT, port, path, agent: false, ...showing(web) }, (got) => {
      let text = '';
      got.setEncoding('utf8').on('data', (part: string) => {
        if (text === '') setTimeout(() => trust.set({ x509: {} }), 50);
        text += part;
      });
      got.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
  t.regex(await answer, /event: error\ndata: \{"code":"trust_domain_unknown".*\n\n$/);
});

interface Key {
  readonly privateKey: KeyObject;
  readonly authority: JwtAuthority;
}

function jwtKey(kid: string): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, authority: { kid, jwk: publicKey.export({ format: 'jwk' }) } };
}

const key = jwtKey('own');
const strange = jwtKey('own');
const CLAIMS = { sub: WEB, aud: [NODE_ID], exp: Math.floor(NOW_MS / 1000) + 600 };

const tokenOf = (claims: object = {}, by = key, kid = 'own'): Promise<string> =>
  new SignJWT({ ...CLAIMS, ...claims, jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256', kid })
    .sign(by.privateKey);

test('a JWT-SVID for this node is taken over TLS or on loopback; others are refused', async (t) => {
  const { port, trust, permit, node } = await startTlsNode(t);
  await permit(PERMIT_WEB);
  trust.set({ jwt: { 'example.org': [key.authority] } });
  const token = await tokenOf();
  t.is(await ask(port, { token }), 'ok');
  const over = async (remoteAddress: string, more = {}): Promise<string> => {
    const headers = { authorization: `Bearer ${token}`, ...more };
    const answer = await node.inject({ url: '/v1/status', headers, remoteAddress });
    return answer.json<{ code?: string }>().code ?? 'ok';
  };
  t.is(await over('127.0.0.1'), 'ok');
  t.is(await over('192.0.2.1'), 'credential_insecure');
  const passedOn = { 'x-forwarded-for': '192.0.2.1' };
  t.is(await over('127.0.0.1', passedOn), 'credential_insecure', 'a proxy got it from elsewhere');

  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({ alg: 'none' })}.${part(CLAIMS)}.`;
  const head = `${part({ alg: 'HS256', kid: 'own' })}.${part(CLAIMS)}`;
  const secret = JSON.stringify(key.authority.jwk);
  const mac = createHmac('sha256', secret).update(head).digest('base64url');
  const past = Math.floor(NOW_MS / 1000) - 3600;
  const cases: readonly (readonly [string, string, string])[] = [
    ['none', unsigned, 'jwt_svid_invalid'],
    ['none with a signature', `${unsigned}AA`, 'jwt_svid_invalid'],
    ['HMAC with the public key', `${head}.${mac}`, 'jwt_svid_invalid'],
    ['huge', `${'a'.repeat(9000)}.b.c`, 'jwt_svid_invalid'],
    ['another audience', await tokenOf({ aud: [`${WEB}/node/you`] }), 'jwt_svid_audience'],
    ['a longer audience', await tokenOf({ aud: [`${NODE_ID}2`] }), 'jwt_svid_audience'],
    ['no audience', await tokenOf({ aud: [] }), 'jwt_svid_invalid'],
    ['expired', await tokenOf({ exp: past }), 'svid_expired'],
    ['another key of the same name', await tokenOf({}, strange), 'jwt_svid_signature'],
    ['an unknown key', await tokenOf({}, key, 'new'), 'jwt_svid_key_unknown'],
    ['an unknown domain', await tokenOf({ sub: 'spiffe://other.org/web' }), 'trust_domain_unknown'],
    ['no SPIFFE ID', await tokenOf({ sub: 'web' }), 'spiffe_id_invalid'],
    ['four parts', `${token}.x`, 'jwt_svid_invalid'],
  ];
  for (const [name, bad, code] of cases) t.is(await ask(port, { token: bad }), code, name);
  const db = await tokenOf({ sub: 'spiffe://example.org/db' });
  t.is(await ask(port, { token: db }), 'policy_denied');
  trust.set({ jwt: {} });
  t.is(await ask(port, { token }), 'trust_domain_unknown', 'the next request asks again');
});

test('what expires ends on a kept connection, and ends the stream that it opened', async (t) => {
  const { port, trust, permit, node } = await startTlsNode(t);
  await permit(PERMIT_WEB);
  trust.set({ jwt: { 'example.org': [key.authority] } });
  const base = await node.api.listen({ host: '127.0.0.1', port: 0 });
  const open = async (seconds: number) => {
    // whole seconds, and the minute by which clocks may differ
    const end_ms = (Math.floor(Date.now() / 1000) + seconds) * 1000;
    const short = { uris: [WEB], from_ms: NOW_MS - HOUR_MS, to_ms: end_ms - CLOCK_SKEW_MS };
    const next = await kept(t, port, showing(await craftLeaf(root, short)));
    const token = await tokenOf({ exp: (end_ms - CLOCK_SKEW_MS) / 1000 });
    const first = await next();
    const headers = { authorization: `Bearer ${token}` };
    const stream = await fetch(`${base}/v1/log/stream`, { headers });
    return { end_ms, next, token, first, stream };
  };
  let opened = await open(3);
  // again where the machine let the time pass
  for (let seconds = 6; seconds < 50 && opened.stream.status !== 200; seconds *= 2) {
    opened = await open(seconds);
  }
  const { end_ms, next, token, first, stream } = opened;
  t.is(first, 'ok');
  t.is(stream.status, 200);
  const stalls = watchStalls(t);
  const from_ms = performance.now();
  const last = await stream.text();
  const late_ms = Date.now() - end_ms;
  const lost_ms = stalls.since(from_ms);
  t.true(late_ms >= 0 && late_ms - lost_ms < 2000, `${late_ms} ms, of them lost ${lost_ms}`);
  t.regex(last, /event: error\ndata: \{"code":"svid_expired".*\n\n$/);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.is(await next(), 'svid_expired');
  t.is(await ask(port, { token }), 'svid_expired');
});

/** The key exchange group that a server chose: in its ServerHello, which is not encrypted. */
function groupOf(hello: Buffer): number | undefined {
  // record header 5, handshake header 4, version 2, random 32
  const session = 43;
  let at = session + 1 + (hello[session] ?? 0) + 2 + 1 + 2;
  while (at + 4 <= hello.length) {
    const [type, length] = [hello.readUInt16BE(at), hello.readUInt16BE(at + 2)];
    if (type === 51) return hello.readUInt16BE(at + 4);
    at += 4 + length;
  }
  return undefined;
}

/** Connects through a relay that reads the server's first bytes. */
async function negotiated(port: number, groups: string): Promise<number | undefined | string> {
  const chunks: Buffer[] = [];
  const relay = createServer((client) => {
    const server = connectTcp(port, '127.0.0.1');
    client.pipe(server).pipe(client);
    server.on('data', (chunk: Buffer) => chunks.push(chunk));
    for (const one of [client, server]) one.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  try {
    const at = { ...CLIENT, port: (relay.address() as AddressInfo).port, ecdhCurve: groups };
    const socket: TLSSocket = connectTls(at);
    await once(socket, 'secureConnect');
    const protocol = socket.getProtocol();
    socket.destroy();
    return protocol === 'TLSv1.3' ? groupOf(Buffer.concat(chunks)) : String(protocol);
  } catch {
    return 'refused';
  } finally {
    relay.close();
  }
}

const X25519MLKEM768 = 0x11ec;
const X25519 = 0x1d;

test('TLS 1.3 only, with X25519MLKEM768 before X25519 and nothing else', async (t) => {
  const { port } = await startTlsNode(t);
  t.is(await negotiated(port, 'X25519MLKEM768:X25519'), X25519MLKEM768);
  t.is(await negotiated(port, 'X25519MLKEM768'), X25519MLKEM768);
  t.is(await negotiated(port, 'X25519:X25519MLKEM768'), X25519MLKEM768, 'the node chooses');
  t.is(await negotiated(port, 'X25519'), X25519);
  t.is(await negotiated(port, 'P-256'), 'refused');
  const old = connectTls({ ...CLIENT, port, maxVersion: 'TLSv1.2' });
  const [error] = (await once(old, 'error')) as [NodeJS.ErrnoException];
  t.regex(String(error.code), /PROTOCOL|ALERT|VERSION/);
});

test('sessions are not resumed: a resumed one would not show its chain', async (t) => {
  const { port } = await startTlsNode(t);
  const first = connectTls({ ...CLIENT, port, ...showing(web) });
  const session = once(first, 'session', { signal: AbortSignal.timeout(1000) });
  first.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [ticket] = (await session.catch(() => [undefined])) as [Buffer | undefined];
  first.destroy();
  const again = { ...CLIENT, port, ...showing(web), ...(ticket && { session: ticket }) };
  const second = connectTls(again);
  await once(second, 'secureConnect');
  t.false(second.isSessionReused());
  second.destroy();
});

test('a new SVID is shown from the next connection on, and none is none', async (t) => {
  const { port, svid } = await startTlsNode(t);
  const shown = async (): Promise<string> => {
    const socket = connectTls({ ...CLIENT, port });
    try {
      await once(socket, 'secureConnect');
      return String(socket.getPeerCertificate().subjectaltname);
    } catch {
      return 'none';
    } finally {
      socket.destroy();
    }
  };
  t.is(await shown(), `URI:${NODE_ID}`);
  const id = 'spiffe://example.org/node/renewed';
  svid.set(served(await craftLeaf(root, { ...TIMES, uris: [id] }), id));
  t.is(await shown(), `URI:${id}`);
  svid.set(undefined);
  t.is(await shown(), 'none');
  svid.set(served(own));
  t.is(await shown(), `URI:${NODE_ID}`);
});
