import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { envelope, folder, run, start, x0t } from './support.ts';
import { freePorts } from '#test/support/ports.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** `x0t auditor` as an operator runs it: beside a validator, until it is told to stop. */

const WAIT_MS = 120_000;

test('an auditor follows, audits, compares and ends; one that prunes is refused', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const p2p = await freePorts(2);
  const ports = (i: number) => ['--api-port', '0', '--p2p-port', `${p2p + i}`];
  t.is((await x0t(cwd, 'init', '--data', 'd', ...ports(0), '--json')).code, 0);
  const node = await start(t, cwd, '--data', 'd');
  const { url } = node.started;
  const invited = await x0t(cwd, 'invite', '--data', 'd', '--role', 'auditor', '--output', 'token');
  t.is(invited.code, 0, invited.stderr);
  const joining = ['join', '--token-file', 'token', '--data', 'watch', '--no-start', ...ports(1)];
  const joined = await x0t(cwd, ...joining);
  t.is(joined.code, 0, joined.stderr);
  const put = await fetchAs(join(cwd, 'd'), `${url}/v1/kv/greeting?wait=final`, {
    method: 'PUT',
    body: 'hello',
  });
  t.is(put.status, 200);

  const auditor = ['auditor', '--data', 'watch', '--every', '0', '--watch', 'd', '--json'];
  const { first, stop } = await run(t, cwd, ...auditor);
  const own = (JSON.parse(first) as { url: string }).url;
  t.is((await readFile(join(cwd, 'watch', 'api.url'), 'utf8')).trim(), own);
  const end_ms = performance.now() + WAIT_MS;
  const metrics = async () => (await fetchAs(join(cwd, 'watch'), `${own}/metrics`)).text();
  const isDone = (text: string) =>
    /^x0t_audited_log_events 5$/m.test(text) && /^x0t_audit_compared_nodes 1$/m.test(text);
  let text = await metrics();
  while (!isDone(text) && performance.now() < end_ms) {
    await sleep(100);
    text = await metrics();
  }
  t.true(isDone(text), text);
  t.regex(text, /^x0t_audit_faults_total 0$/m);
  t.is((await fetch(`${own}/readyz`)).status, 200);
  const ended = await stop();
  t.is(ended.code, 0, ended.stderr);

  const file = join(cwd, 'watch', 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...config, retention: { events: 100 } }));
  const refused = await x0t(cwd, ...auditor);
  t.is(refused.code, 5);
  t.is(envelope(refused).code, 'pruned');
});
