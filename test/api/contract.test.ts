import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { METRICS } from '#node/metrics.ts';
import { startSingleNode, untilFinal } from '#test/support/single-node.ts';

const node = await startSingleNode();

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly parameters?: readonly { name: string; in: string; required?: boolean }[];
  readonly requestBody?: { content: object };
  readonly responses?: Record<string, { description?: string; content?: object }>;
}
interface Document {
  readonly openapi: string;
  readonly info: { title: string; version: string };
  readonly paths: Record<string, Record<string, Operation>>;
}
const openApi: Document = (await node.api.inject('/openapi.json')).json();
const operations = Object.entries(openApi.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);
test.after.always(() => node.close());

const ROUTES = [
  'delete /v1/kv/{key}', 'get /livez', 'get /metrics', 'get /readyz', 'get /v1/checkpoints/latest',
  'get /v1/checkpoints/{size}', 'get /v1/checkpoints/{size}/consistency', 'get /v1/events/{id}',
  'get /v1/events/{id}/receipt', 'get /v1/genesis',
  'get /v1/identity', 'get /v1/identity/bundle', 'get /v1/invites', 'get /v1/kinds', 'get /v1/kv',
  'get /v1/kv/{key}', 'get /v1/log',
  'get /v1/log/stream', 'get /v1/members', 'get /v1/members/{actor}',
  'get /v1/status', 'post /v1/events',
  'post /v1/events/batch', 'put /v1/kv/{key}',
];

test('the document lists exactly the routes', (t) => {
  t.is(openApi.openapi, '3.1.0');
  t.is(openApi.info.version, '0.0.0');
  t.deepEqual(operations.map(({ path, method }) => `${method} ${path}`).toSorted(), ROUTES);
});

test('every operation has an id of its own, a summary, responses and its path parameters', (t) => {
  const ids = operations.map(({ operation }) => operation.operationId);
  t.is(new Set(ids).size, ids.length);
  for (const { path, operation } of operations) {
    t.regex(operation.operationId ?? '', /^[a-z][A-Za-z]+$/);
    t.truthy(operation.summary, path);
    const responses = Object.entries(operation.responses ?? {});
    t.true(responses.some(([status]) => status.startsWith('2')), path);
    t.true('default' in (operation.responses ?? {}), path);
    for (const [status, { description }] of responses) {
      t.truthy(description, `${path} ${status}`);
      t.not(description, 'Default Response', `${path} ${status}`);
    }
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const inPath = (operation.parameters ?? []).filter((one) => one.in === 'path');
    t.deepEqual(inPath.map(({ name }) => name), named);
    t.true(inPath.every(({ required }) => required));
  }
});

test('every operation but the probes asks for a proof, each of which is described', (t) => {
  const { components, security } = openApi as unknown as {
    components: { securitySchemes: Record<string, { type: string }> };
    security: Record<string, unknown>[];
  };
  const schemes = Object.keys(components.securitySchemes);
  t.deepEqual(security.flatMap((one) => Object.keys(one)), schemes);
  t.true(security.every((one) => Object.keys(one).length === 1), 'one of them, not all');
  const open = operations.filter(({ operation }) => 'security' in operation);
  t.deepEqual(open.map(({ path }) => path).toSorted(), ['/livez', '/readyz']);
  for (const { operation } of open) t.deepEqual(operation['security' as 'summary'], [] as never);
});

test('bodies are documented with the media type that is taken', (t) => {
  const contentOf = (path: string, method: string) =>
    Object.keys(openApi.paths[path]?.[method]?.requestBody?.content ?? {});
  t.deepEqual(contentOf('/v1/kv/{key}', 'put'), ['application/octet-stream']);
  t.deepEqual(contentOf('/v1/events', 'post'), ['application/cbor']);
  t.deepEqual(contentOf('/v1/events/batch', 'post'), ['application/cbor']);
});

test('every documented route exists', (t) => {
  for (const { path, method } of operations) {
    const url = path.replace('{key}', '*').replace(/\{(\w+)\}/, ':$1');
    t.true(node.api.hasRoute({ method: method.toUpperCase(), url }), `${method} ${path}`);
  }
});

test('every route is in docs/api.md', (t) => {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'api.md'), 'utf8');
  for (const { path, method } of operations) {
    t.true(text.includes(`${method.toUpperCase()} ${path}`), `${method} ${path}`);
  }
});

test('a route that is not there answers in the one envelope', async (t) => {
  const reply = await node.api.inject({ method: 'POST', url: '/v1/nothing', payload: 'x' });
  t.is(reply.statusCode, 404);
  const { code, message, detail, requestId, ...more } = reply.json();
  t.is(code, 'no_such_route');
  t.truthy(message);
  t.deepEqual(detail, { method: 'POST', url: '/v1/nothing' });
  t.truthy(requestId);
  t.deepEqual(more, {});
});

test('a failure inside says nothing of its cause to the caller, and all to the log', async (t) => {
  const broken = await startSingleNode();
  t.teardown(() => broken.close());
  broken.store.get = () => {
    throw new Error('the disk at 10.0.0.1 is on fire');
  };
  const reply = await broken.api.inject('/v1/kv/x');
  t.is(reply.statusCode, 500);
  t.is(reply.json().code, 'internal');
  t.false(reply.body.includes('fire'));
  const { requestId } = reply.json();
  const line = broken.logged.find((one) => one['requestId'] === requestId && one['err']);
  t.regex(JSON.stringify(line), /on fire/);
});

test('bytes that are no HTTP get an envelope too', async (t) => {
  const address = new URL(await node.api.listen({ host: '127.0.0.1', port: 0 }));
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(Number(address.port), address.hostname, () => {
      socket.write('NONSENSE\r\n\r\n');
    });
    socket.on('data', (data) => (text += data.toString()));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
  t.regex(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  t.is(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').code, 'bad_request');
});

test('the probes tell what the node says of itself', async (t) => {
  const probed = await startSingleNode();
  t.teardown(() => probed.close());
  t.deepEqual((await probed.api.inject('/livez')).json(), { live: true });
  t.deepEqual((await probed.api.inject('/readyz')).json(), { ready: true, reasons: [] });
  probed.readiness = { ready: false, reasons: ['It is catching up.'] };
  const reply = await probed.api.inject('/readyz');
  t.is(reply.statusCode, 503);
  t.deepEqual(reply.json(), { ready: false, reasons: ['It is catching up.'] });
});

test('the status is that of the ledger', async (t) => {
  const single = await startSingleNode();
  t.teardown(() => single.close());
  await single.core.author('kv.put/1', { key: 'a', value: new Uint8Array() }, false);
  await untilFinal(single, 1);
  const status = (await single.api.inject('/v1/status')).json();
  const summary = single.core.replica.fold.summary();
  t.like(status, {
    name: 'single', network: 'test', role: 'validator', n: 1, quorum: 1, epoch: 0, finalSeq: 1,
    logRoot: summary.logRoot, stateRoot: summary.stateRoot, pending: 0, quorumReachable: true,
    alarms: [], limitations: [],
  });
  t.deepEqual(status.projections, summary.projections);
  t.regex(status.summaryHash, /^[0-9a-f]{64}$/);
  t.true(status.commits >= 1 && status.round >= 1);
});

const UNITS =
  /^x0t_[a-z0-9_]+_(total|bytes|blocks|events|rounds|seconds|clients|epochs|validators)$/;

test('every metric is there, named after its unit, and counts', async (t) => {
  const single = await startSingleNode();
  t.teardown(() => single.close());
  const payload = { method: 'PUT' as const, url: '/v1/kv/a?wait=final', payload: 'x' };
  t.is((await single.api.inject(payload)).statusCode, 200);
  const reply = await single.api.inject('/metrics');
  t.regex(String(reply.headers['content-type']), /^text\/plain/);
  const { body } = reply;
  for (const name of Object.values(METRICS)) {
    t.true(body.includes(`# TYPE ${name} `), name);
    t.regex(name, UNITS);
  }
  t.true(body.includes(`\n${METRICS.finals} 1\n`));
  t.true(body.includes(`\n${METRICS.finality}_count 1\n`));
  t.true(body.includes(`${METRICS.httpRequests}{method="PUT",route="/v1/kv/*",status="200"} 1`));
  t.true(body.includes('process_cpu_seconds_total'));
});

test('requests are logged at debug, without values', async (t) => {
  const { logged, api } = node;
  await api.inject({ method: 'PUT', url: '/v1/kv/quiet', payload: 'a secret value' });
  const line = logged.find((one) => one['method'] === 'PUT' && one['route'] === '/v1/kv/*');
  t.is(line?.['level'], 20);
  t.false(JSON.stringify(logged).includes('a secret value'));
});
