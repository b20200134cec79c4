import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Clock } from '#ledger/ports.ts';
import { Authority } from '#node/identity/authority.ts';
import type { IssuedX509 } from '#node/identity/authority.ts';
import { serialiseJwtBundle } from '#node/identity/bundle.ts';
import { parseTrustDomain, spiffeIdOf } from '#projections/spiffe-id.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { structOf } from '#node/identity/workload-proto.ts';
import { systemClock, systemEntropy as entropy } from '#node/system.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { FakeAgent } from './fake-agent.ts';
import { quietLog, until } from './support.ts';

/** Workload API and Workload Endpoint: what a client must do; one test for each rule. */

const SVIDS = 'FetchX509SVID';
const ports = { clock: systemClock, entropy };
const domain = await Authority.make(parseTrustDomain('example.org'), ports);
const foreign = await Authority.make(parseTrustDomain('other.org'), ports);
const own = await domain.issueX509(spiffeIdOf('example.org', '/own'), 600);
const second = await domain.issueX509(spiffeIdOf('example.org', '/second'), 600);
const anchor = domain.published.x509.der;

const svidOf = ({ id, chain, key }: IssuedX509, changes: object = {}): object => ({
  spiffe_id: id.uri,
  x509_svid: chain,
  x509_svid_key: key,
  bundle: anchor,
  hint: '',
  ...changes,
});
const both = { svids: [svidOf(own), svidOf(second)] };
const federated = {
  svids: [svidOf(own)],
  federated_bundles: { 'spiffe://other.org': foreign.published.x509.der },
};

/** Time passes a hundred times faster for timers; the pauses are noted. */
class FastClock implements Clock {
  readonly pauses_ms: number[] = [];

  wall_ms(): number {
    return systemClock.wall_ms();
  }

  monotonic_ms(): number {
    return systemClock.monotonic_ms();
  }

  after(delay_ms: number, fire: () => void): () => void {
    this.pauses_ms.push(delay_ms);
    const timer = setTimeout(fire, delay_ms / 100);
    return () => clearTimeout(timer);
  }
}

async function start(t: ExecutionContext, prepare: (agent: FakeAgent) => void) {
  const agent = new FakeAgent();
  prepare(agent);
  await agent.listen();
  const clock = new FastClock();
  const endpoint = { target: `unix://${agent.socket}` };
  const client = new WorkloadClient({ endpoint, clock, entropy, log: quietLog });
  t.teardown(() => {
    client.close();
    agent.close();
  });
  return { agent, clock, client };
}

const paths = (client: WorkloadClient): string[] =>
  client.current.svids.map(({ id }) => id.path);

test('Endpoint 3: every call carries the header', async (t) => {
  const { agent, client } = await start(t, (one) => one.answers(SVIDS, { message: both }));
  await until(client, () => client.current.status === 'ready');
  await codeOfPromise(client.fetchJwt(['a']));
  await codeOfPromise(client.validateJwt('a', 'b'));
  t.is(new Set(agent.calls.map(({ method }) => method)).size, 5);
  for (const { header } of agent.calls) t.deepEqual(header, ['true']);
});

test('Endpoint 6: InvalidArgument and Unimplemented are not retried', async (t) => {
  for (const code of [status.INVALID_ARGUMENT, status.UNIMPLEMENTED]) {
    const { agent, client } = await start(t, (one) => one.answers(SVIDS, { code }));
    await until(client, () => client.current.status === 'refused');
    await sleep(100);
    t.is(agent.count(SVIDS), 1);
    t.throws(() => client.defaultSvid, { code: 'workload_no_svid' });
  }
});

test('Endpoint 6: after PermissionDenied SVIDs go, and are asked for again', async (t) => {
  const { agent, client } = await start(t, (one) => one.answers(SVIDS, { message: both }));
  await until(client, () => client.current.status === 'ready');
  agent.answers(SVIDS, { code: status.PERMISSION_DENIED }, { message: both });
  agent.end(SVIDS, status.PERMISSION_DENIED);
  await until(client, () => client.current.status === 'denied');
  t.deepEqual(paths(client), []);
  t.is(client.x509AuthoritiesOf('example.org'), undefined);
  t.throws(() => client.defaultSvid, { code: 'workload_no_svid' });
  await until(client, () => client.current.status === 'ready');
  t.deepEqual(paths(client), ['/own', '/second']);
});

test('Endpoint 6: what is unavailable is tried again, ever less often, SVIDs stay', async (t) => {
  const { agent, clock, client } = await start(t, (one) => one.answers(SVIDS, { message: both }));
  await until(client, () => client.current.status === 'ready');
  agent.answers(SVIDS, { code: status.UNAVAILABLE });
  clock.pauses_ms.length = 0;
  agent.end(SVIDS, status.UNAVAILABLE);
  while (clock.pauses_ms.length < 10) await sleep(10);
  const [first = 0] = clock.pauses_ms;
  t.true(first >= 125 && first <= 250);
  t.true((clock.pauses_ms[5] ?? 0) >= 4_000);
  t.true(clock.pauses_ms.every((pause) => pause <= 30_000));
  t.deepEqual(paths(client), ['/own', '/second']);
  t.is(client.current.problems[SVIDS], 'workload_unavailable');
  agent.answers(SVIDS, { message: both });
  await until(client, () => client.current.problems[SVIDS] === undefined);
});

test('API 4.2: a stream that ends is opened again', async (t) => {
  const { agent, client } = await start(t, (one) => one.answers(SVIDS, { message: both }));
  await until(client, () => client.current.status === 'ready');
  const before = client.current.svids;
  agent.end(SVIDS);
  await until(client, () => client.current.svids !== before);
  t.is(agent.count(SVIDS), 2);
});

test('API 4.4: each message is the whole state: what is absent is revoked', async (t) => {
  const { agent, client } = await start(t, (one) => one.answers(SVIDS, { message: federated }));
  await until(client, () => client.current.status === 'ready');
  t.is(client.x509AuthoritiesOf('other.org')?.length, 1);
  agent.push(SVIDS, { svids: [svidOf(second)] });
  await until(client, () => paths(client).join() === '/second');
  t.is(client.x509AuthoritiesOf('other.org'), undefined);
  t.is(client.x509AuthoritiesOf('example.org')?.length, 1);
});

test('API 4.5: a message without a mandatory field is reported and discarded', async (t) => {
  const { agent, client } = await start(t, (one) => one.answers(SVIDS, { message: both }));
  await until(client, () => client.current.status === 'ready');
  const empty = Buffer.alloc(0);
  const wrong = [
    { svids: [] },
    { svids: [svidOf(own, { spiffe_id: '' })] },
    { svids: [svidOf(own, { x509_svid: empty })] },
    { svids: [svidOf(own, { x509_svid_key: empty })] },
    { svids: [svidOf(own, { bundle: empty })] },
    { svids: [svidOf(own), svidOf(second, { bundle: empty })] },
  ];
  for (const message of wrong) {
    agent.push(SVIDS, both);
    await until(client, () => client.current.problems[SVIDS] === undefined);
    agent.push(SVIDS, message);
    await until(client, () => client.current.problems[SVIDS] === 'workload_response_invalid');
    t.deepEqual(paths(client), ['/own', '/second']);
  }
});

test('API 5.2.1: an SVID whose ID, key or chain does not fit is discarded', async (t) => {
  const { agent, client } = await start(t, (one) => one.answers(SVIDS, { message: both }));
  await until(client, () => client.current.status === 'ready');
  const wrong: readonly [object, string][] = [
    [svidOf(own, { spiffe_id: second.id.uri }), 'workload_response_invalid'],
    [svidOf(own, { x509_svid_key: second.key }), 'workload_response_invalid'],
    [svidOf(own, { x509_svid_key: Buffer.from('no key') }), 'workload_response_invalid'],
    [svidOf(own, { bundle: foreign.published.x509.der }), 'svid_untrusted'],
    [svidOf(own, { x509_svid: Buffer.from('no certificate') }), 'certificate_invalid'],
    [svidOf(own, { x509_svid: anchor }), 'x509_svid_invalid'],
  ];
  for (const [svid, code] of wrong) {
    agent.push(SVIDS, both);
    await until(client, () => client.current.problems[SVIDS] === undefined);
    agent.push(SVIDS, { svids: [svid] });
    await until(client, () => client.current.problems[SVIDS] === code);
    t.deepEqual(paths(client), ['/own', '/second']);
  }
});

test('API 5.2.1, 8: the first SVID is the default, of equal hints the first counts', async (t) => {
  const hints = [svidOf(second, { hint: 'h' }), svidOf(own, { hint: 'h' }), svidOf(own)];
  const { client } = await start(t, (one) => one.answers(SVIDS, { message: { svids: hints } }));
  await until(client, () => client.current.status === 'ready');
  t.is(client.defaultSvid.id.path, '/second');
  t.deepEqual(paths(client), ['/second', '/own']);
});

test('API 5.2.2: bundles come by a stream of their own, and go when it denies them', async (t) => {
  const bundles = { 'spiffe://example.org': anchor, 'spiffe://other.org': anchor };
  const { agent, client } = await start(t, (one) =>
    one.answers('FetchX509Bundles', { message: { bundles } }),
  );
  await until(client, () => client.current.x509Bundles.size === 2);
  t.is(client.x509AuthoritiesOf('example.or'), undefined);
  agent.push('FetchX509Bundles', { bundles: { 'spiffe://example.org': anchor } });
  await until(client, () => client.current.x509Bundles.size === 1);
  agent.answers('FetchX509Bundles', { code: status.PERMISSION_DENIED });
  agent.end('FetchX509Bundles', status.PERMISSION_DENIED);
  await until(client, () => client.current.x509Bundles.size === 0);
  t.is(agent.calls.length > 0, true);
});

test('API 6.2.2: JWT bundles replace each other as a whole', async (t) => {
  const document = Buffer.from(serialiseJwtBundle([domain.published.jwt]));
  const first = { 'spiffe://example.org': document, 'spiffe://other.org': document };
  const { agent, client } = await start(t, (one) =>
    one.answers('FetchJWTBundles', { message: { bundles: first } }),
  );
  await until(client, () => client.current.jwtBundles.size === 2);
  agent.push('FetchJWTBundles', { bundles: { 'spiffe://example.org': document } });
  await until(client, () => client.current.jwtBundles.size === 1);
  t.is(client.jwtAuthoritiesOf('example.org')?.length, 1);
  agent.push('FetchJWTBundles', { bundles: { 'not an id': document } });
  await until(client, () => client.current.problems.FetchJWTBundles === 'spiffe_id_invalid');
  agent.push('FetchJWTBundles', { bundles: { 'spiffe://example.org': Buffer.from('{') } });
  await until(client, () => client.current.problems.FetchJWTBundles === 'bundle_invalid');
  t.is(client.jwtAuthoritiesOf('example.org')?.length, 1);
});

test('API 6.2.1, 6.2.3: answers to unary calls are checked', async (t) => {
  const { agent, client } = await start(t, () => undefined);
  const token = (svid: string, hint: string) => ({ spiffe_id: own.id.uri, svid, hint });
  agent.answers('FetchJWTSVID', { message: { svids: [token('t1', 'h'), token('t2', 'h')] } });
  t.deepEqual((await client.fetchJwt(['a'])).map((one) => one.token), ['t1']);
  for (const svids of [[], [token('', '')], [token('a'.repeat(9_000), '')]]) {
    agent.answers('FetchJWTSVID', { message: { svids } });
    t.is(await codeOfPromise(client.fetchJwt(['a'])), 'workload_response_invalid');
  }
  const claims = { aud: ['a'], deep: { list: [1, 'x', true, null] } };
  agent.answers('ValidateJWTSVID', {
    message: { spiffe_id: own.id.uri, claims: structOf(claims) },
  });
  t.deepEqual((await client.validateJwt('a', 't')).claims, claims);
  agent.answers('ValidateJWTSVID', { message: { spiffe_id: 'x', claims: structOf({}) } });
  t.is(await codeOfPromise(client.validateJwt('a', 't')), 'spiffe_id_invalid');
  agent.answers('ValidateJWTSVID', { message: { spiffe_id: own.id.uri } });
  t.is(await codeOfPromise(client.validateJwt('a', 't')), 'workload_response_invalid');
  agent.answers('ValidateJWTSVID', { code: status.PERMISSION_DENIED });
  t.is(await codeOfPromise(client.validateJwt('a', 't')), 'workload_denied');
});

test('a client that starts before its agent finds it', async (t) => {
  const agent = new FakeAgent();
  agent.answers(SVIDS, { message: both });
  const clock = new FastClock();
  const endpoint = { target: `unix://${agent.socket}` };
  const client = new WorkloadClient({ endpoint, clock, entropy, log: quietLog });
  t.teardown(() => {
    client.close();
    agent.close();
  });
  await until(client, () => client.current.problems[SVIDS] === 'workload_unavailable');
  await agent.listen();
  await until(client, () => client.current.status === 'ready');
  t.deepEqual(paths(client), ['/own', '/second']);
});
