import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { Client } from '#node/client.ts';

/** What is meant for this machine goes to no proxy. */

interface Heard {
  readonly url: string;
  readonly heard: string[];
}

async function serve(t: ExecutionContext, status: number): Promise<Heard> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(`${request.url} ${request.headers['authorization']}`);
    if (request.url === '/v1/members') return;
    response.writeHead(status, { location: '/elsewhere' }).end('{"ready":true,"reasons":[]}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

const SCRIPT = `
  const { Client } = await import('#node/client.ts');
  const auth = async () => ({ authorization: 'Bearer secret' });
  console.log(JSON.stringify(await new Client(process.argv[1], { auth }).status()));
`;

test('no proxy of the environment hears a token for this machine', async (t) => {
  const [node, proxy] = [await serve(t, 200), await serve(t, 502)];
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.url };
  delete (env as NodeJS.ProcessEnv)['NO_PROXY'];
  delete (env as NodeJS.ProcessEnv)['no_proxy'];
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, node.url], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...env, http_proxy: proxy.url },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  t.is(code, 0);
  t.deepEqual(proxy.heard, []);
  t.deepEqual(node.heard, ['/v1/status Bearer secret']);
});

test('what fails has the code that it has elsewhere', async (t) => {
  const { url, heard } = await serve(t, 302);
  const slow = new Client(url, { timeout_ms: 200 });
  t.is(codeOf(await t.throwsAsync(slow.members())), 'node_timeout');
  const signal = AbortSignal.abort();
  t.is(codeOf(await t.throwsAsync(new Client(url, { signal }).ready())), 'node_unreachable');
  t.is(codeOf(await t.throwsAsync(new Client(url).status())), 'not_x0t');
  t.false(heard.some((one) => one.startsWith('/elsewhere')), 'no redirect is followed');
  t.is(codeOf(await t.throwsAsync(new Client('http://127.0.0.1:1').ready())), 'node_unreachable');
});
