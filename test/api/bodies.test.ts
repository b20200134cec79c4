import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { DIGEST_HEADER, digestOf, signRequest } from '#node/auth/request-signature.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { partsOf } from '#test/auth/signed-request.ts';
import { nextSecond } from '#test/support/next-second.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { startSingleNode } from '#test/support/single-node.ts';

/** A body that is not the signed one ends its request, and never the node. */

const operator = seededActor('operator of bodies');
const net = netOf([seededActor('node of bodies')], [operator], 'bodies', newGenesisSchema());
const node = await startSingleNode({ net });
const url = await node.api.listen({ host: '127.0.0.1', port: 0 });
test.after.always(() => node.close());

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
}

async function codeIn(answer: IncomingMessage): Promise<string> {
  const parts = await answer.toArray();
  return (JSON.parse(parts.join('')) as { code?: string }).code ?? 'ok';
}

/** What is answered to a request that is signed with the body `a` and sent with `b`. */
async function codeOfForged({ method, path, headers = {} }: Sent): Promise<string> {
  const target = `${url}${path}`;
  const body = new TextEncoder().encode('a');
  const signed = await signRequest(
    { method, url: target, headers },
    body,
    partsOf(operator, Date.now),
  );
  if (signed[DIGEST_HEADER] !== digestOf(body)) throw new Error('it is not signed');
  return new Promise((resolve, reject) => {
    const sent = request(target, { method, headers: { ...signed, 'content-length': '1' } });
    sent.on('error', reject);
    sent.on('response', (answer) => {
      codeIn(answer).then(resolve, reject);
    });
    sent.end('b');
  });
}

const CASES: readonly (readonly [Sent, string])[] = [
  [{ method: 'GET', path: '/nowhere' }, 'no_such_route'],
  [{ method: 'POST', path: '/nowhere' }, 'no_such_route'],
  [{ method: 'GET', path: '/v1/members' }, 'body_unexpected'],
  [{ method: 'DELETE', path: '/v1/kv/x' }, 'body_unexpected'],
  [
    { method: 'POST', path: '/v1/events', headers: { 'content-type': 'text/x' } },
    'unsupported_media_type',
  ],
  [{ method: 'PUT', path: '/v1/kv/x' }, 'signature_wrong'],
];

for (const [sent, code] of CASES) {
  test.serial(`${sent.method} ${sent.path} with another body: ${code}`, async (t) => {
    await nextSecond();
    t.is(await codeOfForged(sent), code);
    // what nobody waits for comes later
    await sleep(50);
    t.is((await fetch(`${url}/livez`)).status, 200);
  });
}
