import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { prefixRange } from '#ledger/keys.ts';
import type { NodeStatus } from '#node/api/index.ts';
import { AUDIT_METRICS, Auditor } from '#node/auditor.ts';
import { initialiseNetwork } from '#node/cli/setup.ts';
import { dataPaths } from '#node/data-dir.ts';
import { startNode } from '#node/node.ts';
import type { Node } from '#node/node.ts';
import { LevelStore } from '#node/store.ts';
import { systemClock } from '#node/system.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { withToken } from '#node/client-auth.ts';
import type { ClientAuth } from '#node/client-auth.ts';
import { freePorts } from '#test/support/ports.ts';
import { craftCa, craftLeaf } from '#test/identity/craft.ts';
import { certPem, keyPem } from '#test/support/tls-node.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** An auditor in a real node: green while all is right, and red from the first fault on. */

const LOOK_MS = 50;
const WAIT_MS = 60_000;
const TIMES = { from_ms: Date.now() - 3_600_000, to_ms: Date.now() + 3_600_000 };

/** Data directories by the URL of their node. */
const directories = new Map<string, string>();

function ask(url: string, path: string, init?: RequestInit): Promise<Response> {
  return fetchAs(directories.get(url) ?? '', `${url}${path}`, init);
}

interface Audited {
  readonly node: Node;
  readonly auditor: Auditor;
  stop(): Promise<void>;
}

async function audited(
  directory: string,
  watch: readonly string[] = [],
  auth: ClientAuth = async () => ({}),
): Promise<Audited> {
  const log = pino({ level: 'silent' });
  const watched = watch.map((url) => ({ url, auth }));
  const options = { watch: watched, every_ms: 100, workers: 1, clock: systemClock, log };
  const auditor = new Auditor(options);
  const node = await startNode({ directory, log, overseer: auditor });
  const stopped = new AbortController();
  const audits = auditor.run(node, stopped.signal);
  directories.set(node.url, directory);
  return {
    node,
    auditor,
    async stop() {
      stopped.abort();
      await node.stop();
      await audits;
    },
  };
}

async function newNode(t: ExecutionContext, api: object = {}): Promise<string> {
  const base = await mkdtemp(join(tmpdir(), 'x0t-auditor-'));
  t.teardown(() => rm(base, { recursive: true }));
  const directory = join(base, 'node');
  const config = { api: { port: 0, ...api }, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'] } };
  await initialiseNetwork(directory, 'audited', config);
  return directory;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end_ms = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > end_ms) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await sleep(LOOK_MS);
  }
}

async function metric({ url }: Node, name: string): Promise<number> {
  const text = await (await ask(url, '/metrics')).text();
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}

async function readiness({ url }: Node): Promise<readonly [number, readonly string[]]> {
  const answer = await fetch(`${url}/readyz`);
  return [answer.status, ((await answer.json()) as { reasons: string[] }).reasons];
}

async function alarms({ url }: Node): Promise<readonly string[]> {
  const status = (await (await ask(url, '/v1/status')).json()) as NodeStatus;
  return status.alarms.map(({ code }) => code);
}

async function putKeys({ url }: Node, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const put = { method: 'PUT', body: `value ${i}` };
    const answer = await ask(url, `/v1/kv/key-${i}?wait=final`, put);
    if (answer.status !== 200) throw new Error(`PUT answered ${answer.status}`);
  }
}

test('it verifies what comes while the node runs; a changed row turns it red', async (t) => {
  t.timeout(300_000);
  const directory = await newNode(t);
  const first = await audited(directory);
  await putKeys(first.node, 5);
  await until('all is audited', async () => (await metric(first.node, AUDIT_METRICS.size)) === 5);
  t.deepEqual(await readiness(first.node), [200, []]);
  t.true((await metric(first.node, AUDIT_METRICS.signatures)) > 0);
  t.is(await metric(first.node, AUDIT_METRICS.faults), 0);
  await first.stop();

  const store = await LevelStore.open(dataPaths(directory).store);
  for await (const [key, value] of store.range({ ...prefixRange('s/kv/'), limit: 1 })) {
    const changed = Uint8Array.from(value);
    changed[changed.length - 1] = (changed.at(-1) as number) ^ 1;
    await store.write([{ type: 'put', key, value: changed }], { sync: true });
  }
  await store.close();

  const second = await audited(directory);
  t.teardown(() => second.stop());
  await until('the fault is found', async () => second.auditor.faults.length > 0);
  const [code, reasons] = await readiness(second.node);
  t.is(code, 503);
  t.regex(reasons.join(), /found a fault/);
  t.deepEqual(await alarms(second.node), ['audit_found']);
  t.regex(second.auditor.faults[0]?.message ?? '', /audit_row_differs.*s\/kv\//);
  t.true((await metric(second.node, AUDIT_METRICS.faults)) > 0);
});

/** A node's API that answers `/v1/status` with what it is told. */
async function liar(t: ExecutionContext, answer: () => object | undefined): Promise<string> {
  const server = createServer((_request, response) => {
    const body = answer();
    if (!body) response.destroy();
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a node that is gone is no fault; one that shows another state or network is', async (t) => {
  t.timeout(300_000);
  let status: object | undefined;
  const url = await liar(t, () => status);
  const watching = await audited(await newNode(t), [url]);
  t.teardown(() => watching.stop());
  const { node, auditor } = watching;
  await putKeys(node, 3);
  await until('it is audited', async () => (await metric(node, AUDIT_METRICS.size)) === 3);
  t.is(await metric(node, AUDIT_METRICS.unreachable), 1);
  t.deepEqual(auditor.faults, []);

  const honest = node.status();
  status = { ...honest, name: 'honest' };
  const compared = async () => (await metric(node, AUDIT_METRICS.compared)) === 1;
  await until('it is compared', compared);
  t.deepEqual(auditor.faults, []);

  const other = 'f'.repeat(64);
  const lies = [
    { stateRoot: other },
    { logRoot: other },
    { chain: honest.chain.slice(0, -1) + (honest.chain.endsWith('a') ? 'i' : 'a') },
  ];
  for (const [i, lie] of lies.entries()) {
    status = { ...honest, name: `liar-${i}`, ...lie };
    const isFound = async () => auditor.faults.some(({ message }) => message.includes(`liar-${i}`));
    await until(JSON.stringify(lie), isFound);
  }
  t.deepEqual([...new Set(auditor.faults.map((one) => one.code))], ['node_differs']);

  await until('a checkpoint is certified', async () => node.status().checkpoint !== undefined);
  const { checkpoint } = node.status();
  status = { ...node.status(), name: 'liar-3', checkpoint: { ...checkpoint, id: honest.chain } };
  const isFound = async () => auditor.faults.some(({ message }) => message.includes('liar-3'));
  await until('another checkpoint', isFound);
  t.is((await readiness(node))[0], 503);
});

test('https addresses are believed by what the own node believes', async (t) => {
  t.timeout(300_000);
  const port = await freePorts(1);
  const directory = await newNode(t, { tls: { port } });
  let isAsked = false;
  const stranger = await craftLeaf(await craftCa(TIMES), TIMES);
  const shown = { cert: certPem(stranger), key: keyPem(stranger) };
  const server = createHttpsServer(shown, (_request, response) => {
    isAsked = true;
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const other = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const auth = withToken(tokenFile(directory, 'operator'));
  const watching = await audited(directory, [`https://127.0.0.1:${port}`, other], auth);
  t.teardown(() => watching.stop());
  const { node, auditor } = watching;
  await putKeys(node, 3);
  await until('it is compared', async () => (await metric(node, AUDIT_METRICS.compared)) === 1);
  t.is(await metric(node, AUDIT_METRICS.unreachable), 1);
  t.deepEqual(auditor.faults, []);
  t.false(isAsked, 'a token is shown to nobody who is not believed');
});
