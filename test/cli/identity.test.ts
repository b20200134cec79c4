import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import { envelope, folder, json, start, x0t } from './support.ts';

test('an entry gives this process an identity, until it is removed', async (t) => {
  const cwd = folder(t);
  const ports = ['--api-port', '0', '--p2p-port', '0'];
  const { actor } = json(await x0t(cwd, 'init', '--data', 'd', ...ports, '--json'));
  const socket = join(cwd, 'api.sock');
  const config = join(cwd, 'd', 'config.json');
  const written = JSON.parse(readFileSync(config, 'utf8')) as object;
  writeFileSync(config, JSON.stringify({ ...written, identity: { socket } }));
  await start(t, cwd, '--data', 'd');
  const on = (...args: string[]) => x0t(cwd, ...args, '--data', 'd', '--json');
  const endpoint = ['--socket', `unix://${socket}`];
  // it has an authority once what it says of it is final
  const isReady = async () =>
    (json(await on('status')) as unknown as NodeStatus).identity?.provider === 'ready';
  for (let tries = 0; tries < 100 && !(await isReady()); tries++);

  const before = await x0t(cwd, 'svid', 'x509', ...endpoint, '--json');
  t.is(before.code, 4);
  t.is(envelope(before).code, 'workload_denied');

  const { trustDomain } = json(await on('identity', 'show')) as unknown as { trustDomain: string };
  const id = `spiffe://${trustDomain}/own`;
  const uid = `unix:uid:${process.getuid?.()}`;
  const bad = await on('identity', 'entry', 'own', id, '--selector', 'unix:user:me');
  t.is(bad.code, 2);
  t.is(envelope(bad).code, 'entry_invalid');
  const entry = ['identity', 'entry', 'own', id, '--selector', uid, '--x509-ttl', '600'];
  t.like(json(await on(...entry, '--node', actor, '--wait')), { verdict: 'applied' });
  t.like(json(await on('identity', 'show')), {
    entries: [{ id: 'own', spiffeId: id, selectors: [uid], x509Ttl_s: 600, nodes: [actor] }],
    issuers: [actor],
    authorities: [{ actor }],
  });

  t.like(json(await x0t(cwd, 'svid', 'x509', ...endpoint, '--out', 'svid', '--json')), { id });
  const pem = (name: string): string => readFileSync(join(cwd, 'svid', name), 'utf8');
  const svid = new X509Certificate(pem('svid.pem'));
  t.is(svid.subjectAltName, `URI:${id}`);
  t.true(svid.checkPrivateKey(createPrivateKey(pem('key.pem'))));
  t.true(new X509Certificate(pem('bundle.pem')).ca);
  t.is(statSync(join(cwd, 'svid', 'key.pem')).mode & 0o777, 0o600);
  const { token } = json(await x0t(cwd, 'svid', 'jwt', 'reports', ...endpoint, '--json'));
  t.is(String(token).split('.').length, 3);

  t.like(json(await on('identity', 'remove', 'own', '--wait')), { verdict: 'applied' });
  t.is(envelope(await x0t(cwd, 'svid', 'x509', ...endpoint, '--json')).code, 'workload_denied');
});
