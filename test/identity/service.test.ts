import { createHash, generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { parseBundle } from '#node/identity/bundle.ts';
import { IdentityService } from '#node/identity/service.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { ada, bob } from '#test/ledger/fold-support.ts';
import { craftCa, craftLeaf, NOW_MS } from './craft.ts';
import { HandLedger, authorityBody, domain, genesis } from './ledger.ts';
import { quietLog, until } from './support.ts';

/** SPIFFE on a node, fed by the final log. */

const [operator] = genesis.operators as [Id];
const uid = process.getuid?.() ?? 0;

async function serve(
  t: ExecutionContext,
  ledger: HandLedger,
  actor: Id,
  agent = '',
  isServed = false,
) {
  const socket = join(mkdtempSync(join(tmpdir(), 'x0t-')), 'api.sock');
  const refused: string[] = [];
  const service = await IdentityService.open(
    { socket, agent, isServed },
    {
      ledger: ledger.of(actor),
      actor,
      clock,
      entropy,
      log: quietLog,
      refused: (code) => void refused.push(code),
    },
  );
  t.teardown(() => service.close());
  const client = (): WorkloadClient => {
    const parts = { endpoint: { target: `unix://${socket}` }, clock, entropy, log: quietLog };
    const made = new WorkloadClient(parts);
    t.teardown(() => made.close());
    return made;
  };
  return { service, socket, client };
}

const entry = (id: string, changes: object = {}) => ({
  id,
  entry: { spiffeId: `spiffe://${domain}/${id}`, selectors: [`unix:uid:${uid}`], ...changes },
});

test('an entry on the ledger gives a workload its identity, its removal takes it', async (t) => {
  const ledger = new HandLedger();
  const { service, client: connect } = await serve(t, ledger, ada);
  const client = connect();
  await until(client, () => client.current.status === 'denied');
  while (service.status.provider !== 'ready') await new Promise(setImmediate);
  t.deepEqual(ledger.verdicts, ['applied']);
  ledger.say(operator, 'identity.entry/1', entry('db'));
  await until(client, () => client.current.status === 'ready');
  t.is(client.defaultSvid.id.uri, `spiffe://${domain}/db`);
  t.is(service.status.callers, 1);
  ledger.say(operator, 'identity.entry/1', { id: 'db' });
  await until(client, () => client.current.status === 'denied');
});

test('two nodes of one trust domain trust what the other issues', async (t) => {
  const ledger = new HandLedger();
  ledger.say(operator, 'identity.entry/1', entry('on-ada', { nodes: [bytesOf(ada)] }));
  ledger.say(operator, 'identity.entry/1', entry('on-bob', { nodes: [bytesOf(bob)] }));
  const one = (await serve(t, ledger, ada)).client();
  const other = (await serve(t, ledger, bob)).client();
  for (const client of [one, other]) {
    await until(client, () => client.current.status === 'ready');
    await until(client, () => client.x509AuthoritiesOf(domain)?.length === 2);
  }
  t.deepEqual(one.current.svids.map(({ id }) => id.path), ['/on-ada']);
  t.deepEqual(other.current.svids.map(({ id }) => id.path), ['/on-bob']);
});

test('a node takes its own identity from an agent, e.g. another provider', async (t) => {
  const ledger = new HandLedger();
  ledger.say(operator, 'identity.entry/1', entry('node'));
  const { socket } = await serve(t, ledger, ada);
  const { service } = await serve(t, new HandLedger(), bob, `unix://${socket}`);
  const { client } = service;
  if (!client) throw new Error('no client');
  await until(client, () => client.current.status === 'ready');
  t.like(service.status, { client: 'ready', spiffeId: `spiffe://${domain}/node` });
});

test('a node that shows an SVID has that of its agent, and believes whom that names', async (t) => {
  const ledger = new HandLedger();
  ledger.say(operator, 'identity.entry/1', entry('node'));
  const { socket, service: provider } = await serve(t, ledger, ada);
  const { service } = await serve(t, new HandLedger(), bob, `unix://${socket}`, true);
  const given = `spiffe://${domain}/node`;
  while (service.own?.current?.id.uri !== given) await new Promise(setImmediate);
  const known = service.trust?.x509AuthoritiesOf(domain) ?? [];
  const theirs = provider.trust?.x509AuthoritiesOf(domain) ?? [];
  t.deepEqual(known.map(({ der }) => der.toHex()), theirs.map(({ der }) => der.toHex()));
  t.deepEqual(service.trust?.ownIds, [given, `spiffe://${domain}/node/${bob}`]);
  t.is(service.trust?.x509AuthoritiesOf(`${domain}.evil`), undefined);
});

test('a node without an agent issues itself an SVID, and loses it with its right', async (t) => {
  const ledger = new HandLedger();
  const { service } = await serve(t, ledger, ada, '', true);
  while (!service.own?.current) await new Promise(setImmediate);
  t.is(service.own.current.id.uri, `spiffe://${domain}/node/${ada}`);
  t.is(service.status.spiffeId, service.own.current.id.uri);
  t.is(service.trust?.x509AuthoritiesOf(domain)?.length, 1);
  let changes = 0;
  service.trust?.subscribe(() => (changes += 1));
  ledger.say(operator, 'identity.issuer/1', { actor: bytesOf(ada), allowed: false });
  while (service.own.current) await new Promise(setImmediate);
  t.deepEqual(service.trust?.x509AuthoritiesOf(domain), []);
  t.true(changes > 0);
});

test('the bundle document has the authorities, a hint and a sequence that grows', async (t) => {
  const ledger = new HandLedger();
  const { service } = await serve(t, ledger, ada);
  const read = () => parseBundle(domain, service.bundleDocument ?? '');
  while (read().x509.length === 0) await new Promise(setImmediate);
  const first = read();
  t.is(first.refreshHint_s, 60);
  t.is(first.jwt.length, 1);
  ledger.say(operator, 'identity.revocation/1', {
    actor: bytesOf(ada),
    kid: first.jwt[0]?.kid ?? '',
  });
  t.is(read().x509.length, 0);
  t.true((read().sequence ?? 0n) > (first.sequence ?? 0n));
  t.is(service.status.provider, 'starting');
});

test('what is no authority of the trust domain stays out of the bundle', async (t) => {
  const ledger = new HandLedger();
  const { service } = await serve(t, ledger, bob);
  const foreign = await craftCa();
  const leaf = await craftLeaf(foreign, { uris: [`spiffe://${domain}/a`] });
  const jwt = { x: new Uint8Array(32), y: new Uint8Array(32) };
  const notAfter_ms = Date.now() + 3_600_000;
  const wrong = [foreign.der, leaf.der, Uint8Array.of(1, 2, 3)];
  for (const [i, x509] of wrong.entries()) {
    const body = { x509, jwt: { ...jwt, kid: `wrong ${i}` }, notAfter_ms };
    ledger.say(ada, 'identity.authority/1', body);
  }
  const { x509, jwt: kept } = parseBundle(domain, service.bundleDocument ?? '');
  t.true(x509.length <= 1);
  t.false(kept.some(({ kid }) => kid.startsWith('wrong')));
});

test('a rogue issuer hides no key of an honest one, and its broken keys count not', async (t) => {
  const ledger = new HandLedger();
  const { service } = await serve(t, ledger, bob);
  while (service.status.provider !== 'ready') await new Promise(setImmediate);
  const honest = parseBundle(domain, service.bundleDocument ?? '').jwt;
  t.is(honest.length, 1);
  ledger.say(ada, 'identity.authority/1', await authorityBody({ kid: honest[0]?.kid ?? '' }));
  const off = new Uint8Array(32).fill(1);
  const thumbprint = createHash('sha256');
  ledger.say(ada, 'identity.authority/1', await authorityBody({ x: off }));
  const text = Buffer.from(off).toString('base64url');
  thumbprint.update(JSON.stringify({ crv: 'P-256', kty: 'EC', x: text, y: text }));
  const body = await authorityBody({ kid: thumbprint.digest('base64url') });
  ledger.say(ada, 'identity.authority/1', { ...body, jwt: { ...body.jwt, x: off, y: off } });
  t.deepEqual(ledger.verdicts.slice(-3), ['applied', 'applied', 'applied']);
  t.deepEqual(parseBundle(domain, service.bundleDocument ?? '').jwt, honest);
  t.is(service.trust?.x509AuthoritiesOf(domain)?.length, 1);
});

test('an authority whose key no bundle can name is left out, and the document stays', async (t) => {
  const ledger = new HandLedger();
  const { service } = await serve(t, ledger, bob);
  while (service.status.provider !== 'ready') await new Promise(setImmediate);
  const { publicKey } = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
  const spki = Uint8Array.from(publicKey.export({ format: 'der', type: 'spki' }));
  const { der } = await craftCa({ uris: [`spiffe://${domain}`], to_ms: NOW_MS * 2, spki });
  const before = service.bundleDocument ?? '';
  ledger.say(ada, 'identity.authority/1', await authorityBody({ x509: der }));
  t.is(ledger.verdicts.at(-1), 'applied');
  const after = parseBundle(domain, service.bundleDocument ?? '');
  t.is(after.x509.length, 1);
  t.deepEqual(after.jwt, parseBundle(domain, before).jwt);
});

test('a node that is no issuer says so and serves nothing', async (t) => {
  const ledger = new HandLedger();
  ledger.say(operator, 'identity.issuer/1', { actor: bytesOf(bob), allowed: false });
  const { service } = await serve(t, ledger, bob);
  t.is(service.status.provider, 'starting');
  t.deepEqual(ledger.verdicts, ['applied']);
});

test('below a folder where anybody may make another, it runs and says so', async (t) => {
  const above = mkdtempSync(join(tmpdir(), 'x0t-'));
  const folder = join(above, 'run');
  mkdirSync(folder, { mode: 0o755 });
  chmodSync(above, 0o1777);
  const parts = {
    ledger: new HandLedger().of(ada),
    actor: ada, clock, entropy, log: quietLog, refused: () => undefined,
  };
  const config = { socket: join(folder, 'api.sock'), agent: '' };
  const service = await IdentityService.open(config, parts);
  t.true(service.limitations.some((text) => text.includes(`may write to ${above};`)));
  t.not(service.status.provider, 'unavailable');
  await service.close();
});

test('a part that cannot run is left out and says why', async (t) => {
  const parts = {
    ledger: { ...new HandLedger().of(ada), view: () => undefined },
    actor: ada, clock, entropy, log: quietLog, refused: () => undefined,
  };
  const none = await IdentityService.open({ socket: '/tmp/x0t-never.sock', agent: '' }, parts);
  t.is(none.status.provider, 'unavailable');
  t.regex(none.limitations[0] ?? '', /identity_inactive/);
  t.is(none.bundleDocument, undefined);
  await none.close();
  const off = await IdentityService.open({ socket: '', agent: '' }, parts);
  t.deepEqual(off.status, { provider: 'off', client: 'off', callers: 0 });
  const bad = IdentityService.open({ socket: '', agent: 'http://x' }, parts);
  t.is(await codeOfPromise(bad), 'workload_endpoint_invalid');
});
