import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { clientOf } from '#node/cli/client.ts';
import { assertOwnListener, listenersOf } from '#node/cli/listener.ts';

/** A token is shown to nobody but the program of its owner. */

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout';
const REST = '00000000:00000000 00:00000000 00000000';
const TCP = [
  HEAD,
  `   0: 0100007F:20E4 00000000:0000 0A ${REST} 65534        0 1 1 0 100 0 0 10 0`,
  `   1: 0100007F:20E4 0100007F:D431 01 ${REST}  1000        0 2 1 0 100 0 0 10 0`,
  `  12: 00000000:0050 00000000:0000 0A ${REST}     0        0 3 1 0 100 0 0 10 0`,
  '',
].join('\n');
const TCP6 = [
  HEAD,
  `   0: 00000000000000000000000001000000:20E4 ${'0'.repeat(32)}:0000 0A ${REST}  1001  0 4 1`,
].join('\n');

test('the users that listen at a port are read from the tables of the kernel', (t) => {
  t.deepEqual(listenersOf(TCP, 8420), [65_534]);
  t.deepEqual(listenersOf(TCP, 80), [0]);
  t.deepEqual(listenersOf(TCP, 54_321), [], 'a connection is no listener');
  t.deepEqual(listenersOf(TCP6, 8420), [1001]);
  for (const text of ['', 'x', `${HEAD}\n   0: zz:zz`]) t.deepEqual(listenersOf(text, 8420), []);
});

const onLinux = process.platform === 'linux' ? test : test.skip;
const asRoot = process.platform === 'linux' && process.getuid?.() === 0 ? test : test.skip;

function tokenIn(): { directory: string; file: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'x0t-listener-'));
  const file = join(directory, 'api.token');
  writeFileSync(file, `${'A'.repeat(43)}\n`, { mode: 0o600 });
  return { directory, file, remove: () => rmSync(directory, { recursive: true }) };
}

onLinux('the own listener gets the token, and nobody gets it where none is', async (t) => {
  const { file, remove } = tokenIn();
  t.teardown(remove);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await t.notThrowsAsync(assertOwnListener(url, file));
  server.close();
  await once(server, 'close');
  t.is(codeOf(await t.throwsAsync(assertOwnListener(url, file))), 'node_unreachable');
});

const SQUATTER = `
  process.setuid(65534);
  const server = require('node:http').createServer((request, response) => {
    console.log('heard ' + request.url);
    response.end('{}');
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

asRoot('another user who took the port hears nothing', async (t) => {
  const { directory, file, remove } = tokenIn();
  const child = spawn(process.execPath, ['-e', SQUATTER], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => {
    child.kill('SIGKILL');
    remove();
  });
  let heard = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (heard += text));
  await once(child.stdout, 'data');
  const port = Number(heard.trim());
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(directory, 'api.url'), `${url}\n`);
  for (const options of [{ data: directory }, { data: 'nowhere', tokenFile: file }]) {
    const client = await clientOf({ ...options, url });
    t.is(codeOf(await t.throwsAsync(client.status())), 'listener_foreign');
  }
  t.is(heard.trim(), `${port}`);
});
