import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { folder, x0t } from './support.ts';

/** Which node gets to know a token: that of `--url`, and no other that a command asks. */

interface Heard {
  readonly url: string;
  readonly tokens: (string | undefined)[];
}

/** Says what a node says of itself, and notes what it is shown. */
async function listener(t: ExecutionContext): Promise<Heard> {
  const tokens: (string | undefined)[] = [];
  const status = { chain: 'ab'.repeat(32), commits: 1, actor: 'cd'.repeat(32), peer: 'p' };
  const server = createServer(({ headers }, reply) => {
    tokens.push(headers.authorization);
    reply.setHeader('content-type', 'application/json').end(JSON.stringify(status));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens };
}

test('who is to get a seat does not see the token of the node that is asked', async (t) => {
  const cwd = folder(t);
  const secret = 'A'.repeat(43);
  writeFileSync(join(cwd, 'token'), `${secret}\n`, { mode: 0o600 });
  const [asked, joiner] = [await listener(t), await listener(t)];
  const args = ['--url', asked.url, '--token-file', 'token', '--json'];
  const ran = await x0t(cwd, 'member', 'add', joiner.url, ...args);
  t.true(asked.tokens.length > 0 && joiner.tokens.length > 0, ran.stderr);
  t.deepEqual(new Set(asked.tokens), new Set([`Bearer ${secret}`]));
  t.deepEqual(new Set(joiner.tokens), new Set([undefined]));

  // which may be the same one
  await x0t(cwd, 'member', 'add', asked.url, ...args);
  t.deepEqual(new Set(asked.tokens), new Set([`Bearer ${secret}`]));
});
