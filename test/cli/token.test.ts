import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fetchAs, tokenHeaders } from '#test/support/fetch-as.ts';
import { envelope, folder, json, start, x0t } from './support.ts';

/** The command line finds the token of its node by itself, and shows it to nobody else. */

const PORTS = ['--api-port', '0', '--listen', '/ip4/127.0.0.1/tcp/0', '--log', 'silent'];

test('tokens are made, used without being asked for, renewed and shown', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const key = join('d', 'operator.key');
  t.is((await x0t(cwd, 'init', '--data', 'd')).code, 0);
  const file = join(cwd, 'd', 'api.token');
  for (const name of ['api.token', 'monitor.token']) {
    t.is(statSync(join(cwd, 'd', name)).mode & 0o777, 0o600);
    t.regex(readFileSync(join(cwd, 'd', name), 'utf8'), /^[A-Za-z0-9_-]{43}\n$/);
  }
  // as in a directory from before there were tokens
  rmSync(file);
  const { started, stop } = await start(t, cwd, '--data', 'd', ...PORTS);
  const { url } = started;
  t.is(statSync(file).mode & 0o777, 0o600, 'made at the start');
  t.is((await x0t(cwd, 'status', '--data', 'd')).code, 0);
  t.is((await x0t(cwd, 'status', '--data', 'd', '--url', url)).code, 0);

  // nobody, without the directory
  const nobody = await x0t(cwd, 'status', '--url', url, '--json');
  t.is(envelope(nobody).code, 'unauthenticated');
  t.is(nobody.code, 4);
  t.is((await x0t(cwd, 'status', '--url', url, '--token-file', file)).code, 0);
  const missing = await x0t(cwd, 'status', '--url', url, '--token-file', 'nowhere', '--json');
  t.is(envelope(missing).code, 'token_unreadable');
  t.is(missing.code, 5);
  const signed = await x0t(cwd, 'status', '--url', url, '--key', key);
  t.is(signed.code, 0, signed.stderr);

  const shown = await x0t(cwd, 'token', 'show', '--data', 'd');
  t.is(shown.stdout, readFileSync(file, 'utf8'));
  const monitor = json(await x0t(cwd, 'token', 'show', '--monitor', '--data', 'd', '--json'));
  const metrics = await fetch(`${url}/metrics`, {
    headers: { authorization: `Bearer ${String(monitor['token'])}` },
  });
  t.is(metrics.status, 200);

  const old = tokenHeaders(join(cwd, 'd'));
  const stream = await fetch(`${url}/v1/log/stream`, { headers: old });
  t.is(stream.status, 200);
  const renewed = await x0t(cwd, 'token', 'renew', '--data', 'd');
  t.is(renewed.code, 0);
  t.false(renewed.stdout.includes(readFileSync(file, 'utf8').trim()));
  // it ends without another request
  t.regex(await stream.text(), /event: error\ndata: \{"code":"token_wrong"/);
  const gone = await fetch(`${url}/v1/status`, { headers: old });
  t.is(((await gone.json()) as { code: string }).code, 'token_wrong');
  t.is((await fetchAs(join(cwd, 'd'), `${url}/v1/status`)).status, 200);
  const last = tokenHeaders(join(cwd, 'd'));
  rmSync(file);
  // the file is looked at each second
  const statusNow = async () => (await fetch(`${url}/v1/status`, { headers: last })).status;
  for (let i = 0; i < 300 && (await statusNow()) !== 401; i++) await sleep(100);
  t.is(await statusNow(), 401, 'no file, no token');
  t.is((await stop()).code, 0);
  const none = await x0t(cwd, 'token', 'show', '--data', 'nowhere', '--json');
  t.is(envelope(none).code, 'not_initialised');
});
