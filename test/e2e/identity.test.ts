import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import { parseBundle } from '#node/identity/bundle.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { folder, json, start, x0t } from '#test/cli/support.ts';
import { quietLog, until } from '#test/identity/support.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** SPIFFE with the command line and a real node: entries are events, identities follow. */

test('a new network gives workloads identities, and takes them away', async (t) => {
  t.timeout(90_000);
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
  const status = async () => (await (await fetchAs(directory, `${url}/v1/status`)).json()) as NodeStatus;
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
