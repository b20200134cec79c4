import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import test from 'ava';
import { startSingleNode } from '#test/support/single-node.ts';

/** A target counts for what it leads to, in whichever spelling. */

const node = await startSingleNode();
const url = await node.api.listen({ host: '127.0.0.1', port: 0 });
test.after.always(() => node.close());

async function codeIn(answer: IncomingMessage): Promise<string> {
  const parts = await answer.toArray();
  return (JSON.parse(parts.join('')) as { code?: string }).code ?? 'ok';
}

/** The code of what is answered to a target, written as it is. */
function codeOf(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { headers } = node;
    const sent = request(url, { path, headers, agent: false }, (answer) => {
      codeIn(answer).then(resolve, reject);
    });
    sent.on('error', reject).end();
  });
}

test.serial('a target is a path', async (t) => {
  t.is(await codeOf('/v1/status'), 'ok');
  for (const target of [`${url}/v1/status`, 'http://other/livez', '*']) {
    t.is(await codeOf(target), 'target_not_canonical', target);
  }
});

test.serial('no spelling leads around a snapshot that is being put in place', async (t) => {
  Object.defineProperty(node.core.snapshots, 'isInstalling', { value: true });
  for (const path of ['/v1/kv', '/%761/kv/x', '/v1/%6bv/x', '/v1/log?from=1']) {
    t.is(await codeOf(path), 'installing', path);
  }
  for (const path of ['/v1/status', '/livez']) t.is(await codeOf(path), 'ok', path);
});
