import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { serialiseX509 } from '#test/identity/pem.ts';
import { spiffeIdOf } from '#projections/spiffe-id.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { validateJwtSvid } from '#node/identity/jwt-svid.ts';
import { readCertificates } from '#node/identity/certificate.ts';
import { TRUST_DOMAIN, makeRig, ownEntry, quietLog, until } from '#test/identity/support.ts';
import type { Rig } from '#test/identity/support.ts';
import { systemClock, systemEntropy } from '#node/system.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { parseEndpoint } from '#node/identity/workload-endpoint.ts';
import { Judge, buildJudge } from './go-judge.ts';

/** `nobody` on Debian; any uid that is not ours would do. */
const OTHER_UID = 65_534;

const judge = buildJudge();
const program = 'program' in judge ? judge.program : '';

test.after.always(() => {
  if (program !== '') rmSync(dirname(program), { recursive: true });
});

/** A skipped test says why in its title. */
const withGo: (title: string, run: (t: ExecutionContext) => Promise<void>) => void =
  'reason' in judge
    ? (title) => test.skip(`${title}: ${judge.reason}`, () => {})
    : (title, run) => test.serial(title, run);

/** A socket that other uids can reach. */
async function openRig(): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'x0t-spiffe-'));
  chmodSync(folder, 0o755);
  return makeRig({ socket: join(folder, 'api.sock') });
}

withGo('go-spiffe takes every SVID, bundle and token of the provider', async (t) => {
  const rig = await openRig();
  t.teardown(() => rig.stop());
  const first = ownEntry({ hint: 'internal', federatesWith: ['partner.example'] });
  const second = ownEntry({
    id: 'second',
    spiffeId: `spiffe://${TRUST_DOMAIN}/second`,
    hint: 'internal',
  });
  rig.state.enter(first, second);
  const partner = await openRig();
  t.teardown(() => partner.stop());
  const foreign = { ...partner.state.current.bundle, trustDomain: 'partner.example' };
  rig.state.set({ federated: [foreign] });

  const run = new Judge(program, ['client', rig.socket, 'reports']);
  t.is(await run.ended, 0);
  const ids = [`spiffe://${TRUST_DOMAIN}/own`, `spiffe://${TRUST_DOMAIN}/second`];
  t.deepEqual(run.said, [
    {
      ids,
      hints: ['internal', ''],
      default: ids[0],
      domains: [TRUST_DOMAIN, 'partner.example'],
      jwtDomains: 2,
      subjects: ids,
      validated: ids[0],
      wrongAudience: true,
    },
  ]);
});

withGo('go-spiffe under another uid gets an identity by uid, path and digest', async (t) => {
  const rig = await openRig();
  t.teardown(() => rig.stop());
  const digest = createHash('sha256').update(readFileSync(program)).digest('hex');
  const selectors = [
    `unix:uid:${OTHER_UID}`,
    `unix:gid:${OTHER_UID}`,
    `unix:path:${program}`,
    `unix:sha256:${digest}`,
  ];
  rig.state.enter({ id: 'judge', spiffeId: `spiffe://${TRUST_DOMAIN}/judge`, selectors });

  const own = new Judge(program, ['client', rig.socket, 'reports']);
  t.is(await own.ended, 1);
  t.regex(String(own.said[0]?.['error']), /workload_denied/);

  const other = new Judge(program, ['client', rig.socket, 'reports'], OTHER_UID);
  t.is(await other.ended, 0);
  t.is(other.said[0]?.['default'], `spiffe://${TRUST_DOMAIN}/judge`);
});

withGo('go-spiffe follows a rotation without a gap', async (t) => {
  const rig = await openRig();
  t.teardown(() => rig.stop());
  rig.state.enter(ownEntry());
  const watch = new Judge(program, ['watch', rig.socket]);
  t.teardown(() => watch.stop());
  const before = await watch.says(({ id }) => id === `spiffe://${TRUST_DOMAIN}/own`);
  // another life makes another certificate
  rig.state.enter(ownEntry({ x509Ttl_s: 120 }));
  const after = await watch.says(({ serial }) => serial !== before['serial']);
  t.true(before['verified']);
  t.true(after['verified']);
  t.false(watch.said.some((said) => 'watchError' in said));
});

withGo('go-spiffe does mTLS with a server that has our SVID, validated by our rules', async (t) => {
  const rig = await openRig();
  t.teardown(() => rig.stop());
  const spiffeId = `spiffe://${TRUST_DOMAIN}/judge`;
  rig.state.enter(
    ownEntry(),
    { id: 'judge', spiffeId, selectors: [`unix:uid:${OTHER_UID}`] },
  );
  const client = rig.client();
  await until(client, () => client.current.status === 'ready');
  const { chain, privateKey } = client.defaultSvid;
  const callers: string[] = [];
  const server = createServer(
    {
      key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
      cert: serialiseX509(chain),
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    },
    (socket) => {
      const peer = socket.getPeerCertificate(true);
      const ders = Buffer.concat([peer.raw, peer.issuerCertificate?.raw ?? Buffer.alloc(0)]);
      const { id } = validateX509Svid(readCertificates(ders), client, Date.now());
      callers.push(id.uri);
      socket.end(`hello ${id.uri}`);
    },
  );
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const address = `127.0.0.1:${port}`;
  const args = ['dial', rig.socket, address, `spiffe://${TRUST_DOMAIN}/own`];
  const dial = new Judge(program, args, OTHER_UID);
  t.is(await dial.ended, 0);
  t.deepEqual(dial.said, [
    { said: `hello ${spiffeId}`, peer: `spiffe://${TRUST_DOMAIN}/own` },
  ]);
  t.deepEqual(callers, [spiffeId]);
});

withGo('our client follows a provider made of Go: given, taken away, given again', async (t) => {
  const socket = join(mkdtempSync(join(tmpdir(), 'x0t-spiffe-')), 'go.sock');
  const provider = new Judge(program, ['serve', socket]);
  t.teardown(() => provider.stop());
  await provider.says(({ serving }) => serving !== undefined);
  const client = new WorkloadClient({
    endpoint: parseEndpoint(`unix://${socket}`),
    clock: systemClock,
    entropy: systemEntropy,
    log: quietLog,
  });
  t.teardown(() => client.close());
  await until(client, () => client.current.status === 'ready');
  const id = spiffeIdOf('go.example', '/judged');
  t.is(client.defaultSvid.id.uri, id.uri);
  await until(client, () => client.current.jwtBundles.size > 0);
  const [jwt] = await client.fetchJwt(['reports'], id);
  const token = jwt?.token ?? '';
  t.is((await validateJwtSvid(token, ['reports'], client, Date.now())).id.uri, id.uri);
  t.is((await client.validateJwt('reports', token)).id.uri, id.uri);

  const before = client.defaultSvid;
  provider.tell('rotate');
  await until(client, () => client.current.svids[0] !== before);
  provider.tell('deny');
  await until(client, () => client.current.status === 'denied');
  t.deepEqual(client.current.svids, []);
  provider.tell('allow');
  await until(client, () => client.current.status === 'ready');
  t.is(client.defaultSvid.id.uri, id.uri);
});
