import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { peerKernel } from '#native/peer-process.ts';
import { parseBundle } from '#node/identity/bundle.ts';
import { readCertificates } from '#node/identity/certificate.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import type {
  JwtBundlesResponse, JwtSvidResponse, WorkloadMethod, X509BundlesResponse, X509SvidResponse,
} from '#node/identity/workload-proto.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { RawClient } from './raw-client.ts';
import { TRUST_DOMAIN, makeRig, ownEntry } from './support.ts';
import type { Rig } from './support.ts';

/** Workload API and Workload Endpoint: what a server must do; one test for each rule. */

const METHODS: readonly WorkloadMethod[] = [
  'FetchX509SVID', 'FetchX509Bundles', 'FetchJWTSVID', 'FetchJWTBundles', 'ValidateJWTSVID',
];
const own = `spiffe://${TRUST_DOMAIN}/own`;

async function rigFor(t: ExecutionContext): Promise<{ rig: Rig; raw: RawClient }> {
  const rig = await makeRig();
  const raw = new RawClient(rig.socket);
  t.teardown(async () => {
    raw.close();
    await rig.stop();
  });
  return { rig, raw };
}

test('Endpoint 3, 6: a call without the header is refused with InvalidArgument', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  for (const method of METHODS) {
    for (const header of ['', 'True', 'false', '1']) {
      t.is((await raw.first(method, {}, header)).code, status.INVALID_ARGUMENT, method);
    }
  }
  t.true(rig.refused.every((code) => code === 'workload_header_missing'));
  t.is(rig.refused.length, 20);
});

test('Endpoint 3.1, 5: neither TLS nor a secret of the caller is asked for', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  t.truthy((await raw.first('FetchX509SVID')).message);
});

test('Endpoint 6: a caller without identity gets PermissionDenied, from every call', async (t) => {
  const { raw } = await rigFor(t);
  for (const method of METHODS) {
    const request = { audience: method === 'FetchJWTSVID' ? ['a'] : 'a', svid: 'a' };
    t.is((await raw.first(method, request)).code, status.PERMISSION_DENIED, method);
  }
});

test('Endpoint 6: a provider whose keys are not published yet is Unavailable', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  rig.state.set({ bundle: { ...rig.state.current.bundle, x509: [], jwt: [] } });
  t.is((await raw.first('FetchX509SVID')).code, status.UNAVAILABLE);
  t.is((await raw.first('FetchJWTSVID', { audience: ['a'] })).code, status.UNAVAILABLE);
});

test('Endpoint 6: what is not of the service is Unimplemented', async (t) => {
  const { raw } = await rigFor(t);
  t.is(await raw.unknown('/SpiffeWorkloadAPI/FetchWITSVID'), status.UNIMPLEMENTED);
  t.is(await raw.unknown('/Other/Call'), status.UNIMPLEMENTED);
});

test('API 4.3: the first message comes at once, and each is the whole state', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry(), ownEntry({ id: 'b', spiffeId: `${own}/b` }));
  const { message } = await raw.first('FetchX509SVID');
  const { svids } = message as X509SvidResponse;
  t.deepEqual(svids.map(({ spiffe_id }) => spiffe_id), [own, `${own}/b`]);
});

test('API 5.2.1: an SVID comes with its chain, its key and its bundle, leaf first', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  const { message } = await raw.first('FetchX509SVID');
  const [svid] = (message as X509SvidResponse).svids;
  if (!svid) throw new Error('no SVID');
  const anchors = readCertificates(svid.bundle);
  const held = { x509AuthoritiesOf: () => anchors };
  t.is(validateX509Svid(svid.x509_svid, held, Date.now()).id.uri, svid.spiffe_id);
  t.true(svid.x509_svid_key.length > 0);
});

test('API 5.2.1: a hint is unique in a response', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry({ hint: 'h' }), ownEntry({ id: 'b', hint: 'h' }));
  const { message } = await raw.first('FetchX509SVID');
  t.deepEqual((message as X509SvidResponse).svids.map(({ hint }) => hint), ['h', '']);
  const jwt = await raw.first('FetchJWTSVID', { audience: ['a'] });
  t.deepEqual((jwt.message as JwtSvidResponse).svids.map(({ hint }) => hint), ['h', '']);
});

test('API 5.2.2: the bundles have that of the own trust domain, and those asked for', async (t) => {
  const { rig, raw } = await rigFor(t);
  const foreign = (name: string) => ({ ...rig.state.current.bundle, trustDomain: name });
  rig.state.set({ federated: [foreign('a.example'), foreign('b.example')] });
  rig.state.enter(ownEntry({ federatesWith: ['b.example'] }));
  const { message } = await raw.first('FetchX509Bundles');
  const { bundles } = message as X509BundlesResponse;
  t.deepEqual(Object.keys(bundles), [`spiffe://${TRUST_DOMAIN}`, 'spiffe://b.example']);
});

test('API 6.2.1: a token has the audience asked for, one for each identity', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry(), ownEntry({ id: 'b', spiffeId: `${own}/b` }));
  const all = await raw.first('FetchJWTSVID', { audience: ['x', 'y'] });
  const { svids } = all.message as JwtSvidResponse;
  t.deepEqual(svids.map(({ spiffe_id }) => spiffe_id), [own, `${own}/b`]);
  const [, payload = ''] = (svids[0]?.svid ?? '').split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { aud: unknown };
  t.deepEqual(claims.aud, ['x', 'y']);
});

test('API 6.2.1: one identity may be asked for; another one is denied', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry(), ownEntry({ id: 'b', spiffeId: `${own}/b` }));
  const one = await raw.first('FetchJWTSVID', { audience: ['x'], spiffe_id: `${own}/b` });
  t.deepEqual((one.message as JwtSvidResponse).svids.map((svid) => svid.spiffe_id), [`${own}/b`]);
  const other = { audience: ['x'], spiffe_id: `${own}/c` };
  t.is((await raw.first('FetchJWTSVID', other)).code, status.PERMISSION_DENIED);
});

test('API 4.5: a request without audience or token is InvalidArgument', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  const wrong = [[], [''], Array.from({ length: 17 }, () => 'a'), ['a'.repeat(2049)]];
  for (const audience of wrong) {
    t.is((await raw.first('FetchJWTSVID', { audience })).code, status.INVALID_ARGUMENT);
  }
  const path = { audience: ['a'], spiffe_id: 'spiffe://example.org/../x' };
  t.is((await raw.first('FetchJWTSVID', path)).code, status.INVALID_ARGUMENT);
  for (const request of [{ audience: '', svid: 'a' }, { audience: 'a', svid: '' }]) {
    t.is((await raw.first('ValidateJWTSVID', request)).code, status.INVALID_ARGUMENT);
  }
});

test('API 6.2.2: a JWT bundle holds keys with the use jwt-svid only', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  const { message } = await raw.first('FetchJWTBundles');
  const [document = Buffer.alloc(0)] = Object.values((message as JwtBundlesResponse).bundles);
  const { x509, jwt } = parseBundle(TRUST_DOMAIN, document);
  t.is(x509.length, 0);
  t.is(jwt.length, 1);
});

test('API 6.2.3: a token is validated by the rules of JWT-SVIDs', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  const jwt = await raw.first('FetchJWTSVID', { audience: ['x'] });
  const svid = (jwt.message as JwtSvidResponse).svids[0]?.svid ?? '';
  t.like(await raw.first('ValidateJWTSVID', { audience: 'x', svid }), {
    message: { spiffe_id: own },
  });
  for (const request of [{ audience: 'y', svid }, { audience: 'x', svid: `${svid}x` }]) {
    t.is((await raw.first('ValidateJWTSVID', request)).code, status.INVALID_ARGUMENT);
  }
});

test('a request that is too large is refused', async (t) => {
  const { rig, raw } = await rigFor(t);
  rig.state.enter(ownEntry());
  const { code } = await raw.first('ValidateJWTSVID', { audience: 'a', svid: 'a'.repeat(40_000) });
  t.is(code, status.RESOURCE_EXHAUSTED);
});

test('a uid that calls too often is told to come later', async (t) => {
  // no time passes, so that nothing is given back
  const clock = new VirtualClock(Date.now());
  const rig = await makeRig({ clock });
  t.teardown(() => rig.stop());
  const raw = new RawClient(rig.socket);
  t.teardown(() => raw.close());
  const codes: (number | undefined)[] = [];
  for (let i = 0; i < 202; i++) codes.push((await raw.first('ValidateJWTSVID')).code);
  // the connection was one of the 200
  t.is(codes.indexOf(status.UNAVAILABLE), 199);
  t.is(rig.refused.filter((code) => code === 'workload_busy').length, 3);
  await clock.run(100);
  t.is((await raw.first('ValidateJWTSVID')).code, status.PERMISSION_DENIED);
});

test('a uid has a bounded share of the connections', async (t) => {
  const { rig } = await rigFor(t);
  const sockets = Array.from({ length: 70 }, () => connect(rig.socket));
  t.teardown(() => sockets.map((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  while (rig.refused.length < 6) await new Promise(setImmediate);
  t.is(rig.server.connections, 64);
  t.true(rig.refused.every((code) => code === 'workload_busy'));
  sockets[0]?.destroy();
  while (rig.server.connections > 63) await new Promise(setImmediate);
});

test('the socket answers nothing that is not gRPC', async (t) => {
  const { rig } = await rigFor(t);
  const agent = new Agent();
  const outcome = await new Promise<string>((resolve) => {
    const get = httpRequest({ socketPath: rig.socket, path: '/', agent }, () => resolve('answer'));
    get.on('error', () => resolve('closed')).end();
  });
  agent.destroy();
  t.is(outcome, 'closed');
});

test('a caller that the kernel does not know is cut off', async (t) => {
  const gone = { ...peerKernel(), startOf: () => undefined };
  const rig = await makeRig({ kernel: gone });
  t.teardown(() => rig.stop());
  rig.state.enter(ownEntry());
  const raw = new RawClient(rig.socket);
  t.teardown(() => raw.close());
  t.is((await raw.first('FetchX509SVID')).code, status.UNAVAILABLE);
  t.true(rig.refused.includes('caller_gone'));
});

test('a socket path is absolute and short; files and living sockets are not removed', async (t) => {
  const { rig } = await rigFor(t);
  t.is(await codeOfPromise(makeRig({ socket: 'relative.sock' })), 'socket_path_invalid');
  t.is(await codeOfPromise(makeRig({ socket: `/tmp/${'a'.repeat(120)}` })), 'socket_path_invalid');
  t.is(await codeOfPromise(makeRig({ socket: rig.socket })), 'socket_taken');
  const file = `${rig.socket}.txt`;
  writeFileSync(file, '');
  t.is(await codeOfPromise(makeRig({ socket: file })), 'socket_taken');
  t.is(await codeOfPromise(makeRig({ socket: '/nowhere/at/all.sock' })), 'socket_failed');
});
