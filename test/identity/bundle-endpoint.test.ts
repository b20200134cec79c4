import { request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import { fetchBundle } from '#node/identity/bundle-fetch.ts';
import { parseBundle } from '#node/identity/bundle.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import { envelope, folder, json, start, x0t } from '#test/cli/support.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** What is answered to a request without any proof. */
function statusOf(port: number, method: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, rejectUnauthorized: false };
    const sent = request(options, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.on('error', reject).end();
  });
}

test('Federation 5.2.2.3: the endpoint shows an SVID, and asks nobody who he is', async (t) => {
  t.timeout(240_000);
  const cwd = folder(t);
  const config = { api: { port: 0 }, identity: { endpoint: { host: '127.0.0.1', port: 0 } } };
  for (const name of ['one', 'two']) {
    t.is((await x0t(cwd, 'init', '--data', name, '--name', name)).code, 0);
    writeFileSync(join(cwd, name, 'config.json'), JSON.stringify(config));
  }
  const silent = ['--log', 'silent', '--p2p-port', '0'];
  const { url, directory } = (await start(t, cwd, '--data', 'one', ...silent)).started;
  const read = async (path: string) => (await fetchAs(directory, `${url}${path}`)).text();
  const identity = async () => (JSON.parse(await read('/v1/status')) as NodeStatus).identity;
  while ((await identity())?.spiffeId === undefined) await sleep(50);
  const { trustDomain = '', spiffeId = '', endpoint: port = 0 } = (await identity()) ?? {};

  const document = await read('/v1/identity/bundle');
  writeFileSync(join(cwd, 'first.json'), document);
  const { x509, sequence } = parseBundle(trustDomain, document);
  const endpointId = parseSpiffeId(spiffeId);
  const authorities = { x509AuthoritiesOf: () => x509 };
  const profile = { type: 'https_spiffe', endpointId, authorities } as const;
  const at = `https://127.0.0.1:${port}/`;
  const fetched = await fetchBundle({ url: at, trustDomain, profile }, Date.now());
  t.is(fetched.bundle.sequence, sequence);
  t.deepEqual(
    await Promise.all([
      statusOf(port, 'GET', '/'), statusOf(port, 'POST', '/'), statusOf(port, 'GET', '/v1/status'),
    ]),
    [200, 405, 404],
  );

  await start(t, cwd, '--data', 'two', ...silent);
  const federate = (id: string) =>
    x0t(
      cwd, 'identity', 'federate', trustDomain, at, '--endpoint-id', id, '--bundle', 'first.json',
      '--data', 'two', '--wait', '--json',
    );
  const wrong = await federate(`spiffe://${trustDomain}/node/other`);
  t.is(envelope(wrong).code, 'bundle_endpoint_untrusted');
  t.like(json(await federate(spiffeId)), { verdict: 'applied' });
  t.like(json(await x0t(cwd, 'identity', 'show', '--data', 'two', '--json')), {
    federations: [{
      trustDomain,
      endpoint: { url: at, profile: 'https_spiffe', id: spiffeId },
      sequence: String(sequence),
      pending: 0,
      fetch: { interval_s: 300 },
    }],
  });
  const { stdout } = await x0t(cwd, 'identity', 'show', '--data', 'two');
  t.true(stdout.includes(`# ${trustDomain}, federated`), stdout);
  t.true(stdout.includes(`${at} (https_spiffe, ${spiffeId})`), stdout);
});
