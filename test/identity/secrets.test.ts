import { inspect } from 'node:util';
import test from 'ava';
import type { Log } from '#ledger/ports.ts';
import { Authority } from '#node/identity/authority.ts';
import { readX509Context } from '#node/identity/workload-materials.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { parseTrustDomain, spiffeIdOf } from '#projections/spiffe-id.ts';
import { FakeAgent } from './fake-agent.ts';
import { makeRig, ownEntry, until } from './support.ts';

/** Private keys and tokens stand in no log and no error. */

const domain = parseTrustDomain('example.org');
const authority = await Authority.make(domain, { clock, entropy });
const issued = await authority.issueX509(spiffeIdOf('example.org', '/own'), 600);
const key = Buffer.from(issued.key);
/** The number itself, wherever PKCS #8 has it: any 16 bytes of it are too many. */
const SCALAR_AT = 36;
const scalar = key.subarray(SCALAR_AT, SCALAR_AT + 16);

const isIn = (text: string): boolean =>
  [key.toString('base64'), key.toString('hex'), scalar.toString('hex'), scalar.join(', ')].some(
    (form) => text.includes(form.slice(0, 32)),
  ) || text.includes('PRIVATE KEY');

const svid = (changes: object) => ({
  spiffe_id: issued.id.uri,
  x509_svid: issued.chain,
  x509_svid_key: issued.key,
  bundle: authority.published.x509.der,
  hint: '',
  ...changes,
});

test('the errors about a message of the Workload API hold nothing of its key', (t) => {
  const wrong = [
    { spiffe_id: 'spiffe://example.org/other' },
    { x509_svid_key: Buffer.concat([Buffer.of(0), key]) },
    { x509_svid_key: key.subarray(0, 60) },
    { x509_svid: Buffer.from(issued.key) },
    { bundle: Buffer.from(issued.key) },
  ];
  for (const changes of wrong) {
    const message = { svids: [svid(changes)], crl: [], federated_bundles: {} };
    const error = t.throws(() => readX509Context(message, clock.wall_ms()));
    t.false(isIn(inspect(error, { depth: 9 })), inspect(changes));
  }
});

test('the log of a client holds nothing of keys, whatever the agent sends', async (t) => {
  const lines: string[] = [];
  const note = (fields: object, message: string): void =>
    void lines.push(inspect({ ...fields, message }, { depth: 9 }));
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const agent = new FakeAgent();
  agent.answers('FetchX509SVID', { message: { svids: [svid({})] } });
  await agent.listen();
  const endpoint = { target: `unix://${agent.socket}` };
  const client = new WorkloadClient({ endpoint, clock, entropy, log });
  t.teardown(() => {
    client.close();
    agent.close();
  });
  await until(client, () => client.current.status === 'ready');
  agent.push('FetchX509SVID', { svids: [svid({ bundle: Buffer.from(issued.key) })] });
  await until(client, () => client.current.problems.FetchX509SVID !== undefined);
  t.true(lines.length > 0);
  for (const line of lines) t.false(isIn(line), line);
  t.false(isIn(inspect(client, { depth: 9, showHidden: true })));
});

test('what a caller is told of a refusal holds nothing of its token', async (t) => {
  const rig = await makeRig();
  t.teardown(() => rig.stop());
  rig.state.enter(ownEntry());
  const client = rig.client();
  await until(client, () => client.current.status === 'ready');
  const [jwt] = await client.fetchJwt(['reports']);
  const token = jwt?.token ?? '';
  const error = await t.throwsAsync(client.validateJwt('others', token));
  for (const part of token.split('.')) t.false(inspect(error, { depth: 9 }).includes(part));
});

test('the private keys of an authority cannot be taken out', (t) => {
  const shown = inspect(authority, { depth: 9, showHidden: true });
  t.false(shown.includes('extractable: true'));
  t.false(isIn(shown));
});
