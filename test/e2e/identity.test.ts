import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import { parseBundle } from '#node/identity/bundle.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { folder, json, start, x0t } from '#test/cli/support.ts';
import { quietLog, until } from '#test/identity/support.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** SPIFFE with the command line and a real node: entries are events, identities follow. */

test('a new network gives workloads identities, and takes them away', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const made = await x0t(cwd, 'init', '--data', 'd', '--json');
  t.is(made.code, 0, made.stderr);
  const file = join(cwd, 'd', 'config.json');
  const socket = join(cwd, 'w.sock');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...config, identity: { socket } }));
  const ports = ['--api-port', '0', '--p2p-port', '0'];
  const node = await start(t, cwd, '--data', 'd', '--log', 'silent', ...ports);
  const { url, directory } = node.started;
  const status = async () =>
    (await (await fetchAs(directory, `${url}/v1/status`)).json()) as NodeStatus;
  while ((await status()).identity?.provider !== 'ready') await sleep(50);
  const { trustDomain = '' } = (await status()).identity ?? {};

  const endpoint = { target: `unix://${socket}` };
  const client = new WorkloadClient({ endpoint, clock, entropy, log: quietLog });
  t.teardown(() => client.close());
  await until(client, () => client.current.status === 'denied');
  const say = async (body: object) => {
    const args = ['event', 'submit', 'identity.entry/1', JSON.stringify(body)];
    return json(await x0t(cwd, ...args, '--data', 'd', '--wait', '--json'));
  };
  const entry = {
    spiffeId: `spiffe://${trustDomain}/test`,
    selectors: [`unix:uid:${process.getuid?.() ?? 0}`, `unix:path:${process.execPath}`],
  };
  t.like(await say({ id: 'test', entry }), { state: 'final' });
  await until(client, () => client.current.status === 'ready');
  t.is(client.defaultSvid.id.uri, entry.spiffeId);

  const document = await (await fetchAs(directory, `${url}/v1/identity/bundle`)).text();
  const { x509 } = parseBundle(trustDomain, document);
  const { chain } = client.defaultSvid;
  const { id } = validateX509Svid(chain, { x509AuthoritiesOf: () => x509 }, Date.now());
  t.is(id.uri, entry.spiffeId);
  t.is((await status()).identity?.callers, 1);
  const shown = await x0t(cwd, 'status', '--data', 'd', '--url', url);
  t.true(shown.stdout.includes(`${trustDomain}, Workload API ready`), shown.stdout);

  t.like(await say({ id: 'test' }), { state: 'final' });
  await until(client, () => client.current.status === 'denied');
  t.is((await node.stop()).code, 0);
});

/** A request with the workload's SVID, to the node that the bundle proves; its status and code. */
async function call(
  client: WorkloadClient,
  port: number,
  nodeId: string,
): Promise<readonly [number | undefined, string | undefined]> {
  const { chain, privateKey, id: { trustDomain } } = client.defaultSvid;
  const pem = (all: readonly Certificate[]) =>
    all.map(({ openssl }) => openssl.toString()).join('');
  const options = {
    host: '127.0.0.1',
    port,
    path: '/v1/status',
    cert: pem(chain),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ca: pem(client.x509AuthoritiesOf(trustDomain) ?? []),
    ecdhCurve: 'X25519MLKEM768',
    // an SVID names no host: the name that counts is its SPIFFE ID
    checkServerIdentity: (_host: string, { subjectaltname }: { subjectaltname?: string }) =>
      subjectaltname === `URI:${nodeId}` ? undefined : new Error(subjectaltname),
  };
  return new Promise((resolve, reject) => {
    get(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => {
        resolve([answer.statusCode, (JSON.parse(text) as { code?: string }).code]);
      });
    }).on('error', reject);
  });
}

test('a workload calls the API by mTLS with the SVID of its socket, as policies say', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  await x0t(cwd, 'init', '--data', 'd', '--json');
  const file = join(cwd, 'd', 'config.json');
  const socket = join(cwd, 'w.sock');
  const config = { api: { port: 0, tls: { port: 0 } }, identity: { socket } };
  writeFileSync(file, JSON.stringify(config));
  const node = await start(t, cwd, '--data', 'd', '--log', 'silent', '--p2p-port', '0');
  const { url, directory } = node.started;
  const status = async () =>
    (await (await fetchAs(directory, `${url}/v1/status`)).json()) as NodeStatus;
  while ((await status()).api?.https?.state !== 'ready') await sleep(50);
  const { actor, identity, api } = await status();
  const trustDomain = identity?.trustDomain ?? '';
  const nodeId = `spiffe://${trustDomain}/node/${actor}`;
  t.is(api?.https?.spiffeId, nodeId);
  t.true(api?.proofs.includes('x509_svid'));
  const port = api?.https?.port ?? 0;

  const spiffeId = `spiffe://${trustDomain}/reporter`;
  const selectors = [`unix:uid:${process.getuid?.() ?? 0}`, `unix:path:${process.execPath}`];
  const say = (kind: string, body: object) =>
    x0t(cwd, 'event', 'submit', kind, JSON.stringify(body), '--data', 'd', '--wait', '--json');
  t.is((await say('identity.entry/1', { id: 'r', entry: { spiffeId, selectors } })).code, 0);
  const parts = { endpoint: { target: `unix://${socket}` }, clock, entropy, log: quietLog };
  const client = new WorkloadClient(parts);
  t.teardown(() => client.close());
  await until(client, () => client.current.status === 'ready');
  t.deepEqual(await call(client, port, nodeId), [403, 'policy_denied']);
  const principal = `principal == Spiffe::"${spiffeId}"`;
  const permit = `permit (${principal}, action == Action::"api.status.read", resource);`;
  t.is((await say('policy.put/1', { id: 'reporter', text: permit })).code, 0);
  t.deepEqual(await call(client, port, nodeId), [200, undefined]);
  const [token] = await client.fetchJwt([nodeId]);
  const bearer = { authorization: `Bearer ${token?.token ?? ''}` };
  t.is((await fetch(`${url}/v1/status`, { headers: bearer })).status, 200);
  t.is((await fetch(`${url}/v1/log`, { headers: bearer })).status, 403);
  const [elsewhere] = await client.fetchJwt(['spiffe://elsewhere/node']);
  const other = { authorization: `Bearer ${elsewhere?.token ?? ''}` };
  const refused = await fetch(`${url}/v1/status`, { headers: other });
  t.is(((await refused.json()) as { code: string }).code, 'jwt_svid_audience');
  t.is((await say('policy.delete/1', { id: 'reporter' })).code, 0);
  t.deepEqual(await call(client, port, nodeId), [403, 'policy_denied']);
  t.is((await fetch(`${url}/v1/status`, { headers: bearer })).status, 403);
  t.is((await node.stop()).code, 0);
});
