import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { NodeStatus } from '#node/api/status.ts';
import { envelope, folder, json, run, start, x0t } from './support.ts';
import { freePorts } from '#test/support/ports.ts';
import type { Ran } from './support.ts';

/** Commands at the HTTPS listener of a node, as if from another machine: with files alone. */

interface Bench {
  /** Where the node's data directory is. */
  readonly home: string;
  /** Where a bundle and the operator's key are, and nothing else. */
  readonly away: string;
  readonly url: string;
  readonly workloads: string;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const home = folder(t);
  const away = join(home, 'away');
  const port = await freePorts(1);
  const init = ['init', '--data', 'd', '--api-port', '0', '--p2p-port', '0'];
  t.is((await x0t(home, ...init)).code, 0);
  const config = join(home, 'd', 'config.json');
  const { api, ...rest } = JSON.parse(readFileSync(config, 'utf8')) as { api: object };
  const socket = join(home, 'api.sock');
  const more = { api: { ...api, tls: { port } }, identity: { socket } };
  writeFileSync(config, JSON.stringify({ ...rest, ...more }));
  await start(t, home, '--data', 'd');
  const state = async () => {
    const status = json(await x0t(home, 'status', '--data', 'd', '--json'));
    return (status as unknown as NodeStatus).api?.https?.state;
  };
  for (let tries = 0; tries < 100 && (await state()) !== 'ready'; tries++);
  mkdirSync(away);
  const file = join(away, 'bundle.json');
  t.is((await x0t(home, 'identity', 'bundle', '--data', 'd', '-o', file)).code, 0);
  copyFileSync(join(home, 'd', 'operator.key'), join(away, 'me.key'));
  return { home, away, url: `https://127.0.0.1:${port}`, workloads: `unix://${socket}` };
}

const KEY = ['--key', 'me.key'];
const BUNDLE = ['--trust-bundle', 'bundle.json'];

function refused(t: ExecutionContext, ran: Ran, exit: number, code: string, name: string): void {
  t.is(ran.code, exit, `${name}: ${ran.stderr}`);
  t.is(envelope(ran).code, code, name);
}

test('commands ask a node by TLS: with a bundle and a key, or with an SVID', async (t) => {
  const { home, away, url, workloads } = await bench(t);
  const at = (...args: string[]) => x0t(away, ...args, '--url', url, '--json');

  const put = json(await at('kv', 'put', 'k', 'v', '--wait', ...KEY, ...BUNDLE));
  t.is(put['verdict'], 'applied');
  const status = json(await at('status', ...KEY, ...BUNDLE)) as unknown as NodeStatus;
  const { spiffeId = '' } = status.api?.https ?? {};
  t.regex(spiffeId, /^spiffe:\/\/local\.[0-9a-f]{16}\/node\/[0-9a-f]{64}$/);
  const named = await at('kv', 'get', 'k', ...KEY, ...BUNDLE, '--server-id', spiffeId);
  t.is(json(named)['text'], 'v');

  const other = spiffeId.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  const foreign = spiffeId.replace('local.', 'other.');
  const cases = [
    ['without a bundle', KEY, 2, 'server_trust_missing'],
    ['with nothing that proves who asks', BUNDLE, 4, 'unauthenticated'],
    ['another node', [...KEY, ...BUNDLE, '--server-id', other], 2, 'server_id_wrong'],
    ['another domain', [...KEY, ...BUNDLE, '--server-id', foreign], 2, 'bundle_other_domain'],
    ['no ID', [...KEY, ...BUNDLE, '--server-id', 'node-1'], 2, 'spiffe_id_invalid'],
    ['no file', [...KEY, '--trust-bundle', 'none.json'], 2, 'file_unreadable'],
    ['no bundle', [...KEY, '--trust-bundle', 'me.key'], 2, 'bundle_invalid'],
    ['no Workload API', ['--workload-api', 'nonsense'], 2, 'workload_endpoint_invalid'],
    ['a workload without an entry', ['--workload-api', workloads], 4, 'workload_denied'],
  ] as const;
  for (const [name, args, exit, code] of cases) {
    refused(t, await at('status', ...args), exit, code, name);
  }
  const plain = url.replace('https', 'http');
  const useless = await x0t(away, 'status', '--url', plain, ...KEY, ...BUNDLE, '--json');
  refused(t, useless, 2, 'usage', 'options that nothing comes of');
  const bundle = ['--trust-bundle', join(away, 'bundle.json')];
  for (const trust of [bundle, ['--server-id', spiffeId]]) {
    const ofDirectory = await x0t(home, 'status', '--data', 'd', ...trust, '--json');
    refused(t, ofDirectory, 2, 'usage', `${trust[0]}, and the directory says http`);
  }
  refused(t, await at('member', 'add', plain, ...KEY, ...BUNDLE), 2, 'usage', 'a joiner at http');
  const noTls = json(await x0t(home, 'status', '--data', 'd', '--json')) as unknown as NodeStatus;
  const httpPort = `https://127.0.0.1:${noTls.api?.http.port}`;
  const wrongPort = await x0t(away, 'status', '--url', httpPort, ...KEY, ...BUNDLE, '--json');
  refused(t, wrongPort, 3, 'tls_failed', 'a port without TLS');

  // the node of a data directory that runs says whom to believe
  t.is((await x0t(home, 'status', '--data', 'd', '--url', url)).code, 0);

  const id = `${spiffeId.slice(0, spiffeId.indexOf('/node/'))}/own`;
  const entry = ['identity', 'entry', 'own', id, '--selector', `unix:uid:${process.getuid?.()}`];
  t.is((await at(...entry, '--wait', ...KEY, ...BUNDLE)).code, 0);
  refused(t, await at('status', '--workload-api', workloads), 4, 'policy_denied', 'not permitted');
  const policy = `permit (principal == Spiffe::"${id}", action, resource);`;
  writeFileSync(join(away, 'own.cedar'), policy);
  t.is((await at('policy', 'put', 'own.cedar', '--wait', ...KEY, ...BUNDLE)).code, 0);
  rmSync(join(away, 'me.key'));
  rmSync(join(away, 'bundle.json'));
  process.env['SPIFFE_ENDPOINT_SOCKET'] = workloads;
  const written = json(await at('kv', 'put', 'm', 'w', '--wait'));
  delete process.env['SPIFFE_ENDPOINT_SOCKET'];
  t.is(written['signedBy'], 'node');

  const follow = ['log', '--follow', '--from', String(put.seq), '--workload-api', workloads];
  const log = await run(t, away, ...follow, '--url', url, '--json');
  t.is((JSON.parse(log.first.split('\n')[0] ?? '') as { seq: number }).seq, put.seq);
  t.is((await at('kv', 'put', 'n', 'x', '--wait', '--workload-api', workloads)).code, 0);
  await log.lines(5);
  t.is((await log.stop()).code, 0, 'it ends, whatever it had opened');
});
