import test from 'ava';
import type { ExecutionContext } from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { Authority } from '#node/identity/authority.ts';
import { readCertificates } from '#node/identity/certificate.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { parseTrustDomain, spiffeIdOf } from '#projections/spiffe-id.ts';
import { bob } from '#test/ledger/fold-support.ts';
import { FakeAgent } from './fake-agent.ts';
import { domain } from './ledger.ts';
import { until } from './support.ts';
import { connectionOf, idOf, twoIssuers } from './two-issuers.ts';

/** Which IDs are believed by a node with an agent that has a bundle by the name of the ledger's. */

const spire = await Authority.make(parseTrustDomain(domain), { clock, entropy });
const issued = await spire.issueX509(spiffeIdOf(domain, '/of-spire'), 600);

/** The agent gives `roots` besides its own. */
async function rig(t: ExecutionContext, rootsOf: (more: Certificate) => readonly Uint8Array[]) {
  const agent = new FakeAgent();
  t.teardown(() => agent.close());
  const two = await twoIssuers(t, `unix://${agent.socket}`);
  const bundle = Buffer.concat([
    spire.published.x509.der,
    ...rootsOf(two.ofBob.root.certificate),
  ]);
  const { id, chain, key } = issued;
  const svids = [{ spiffe_id: id.uri, x509_svid: chain, x509_svid_key: key, bundle, hint: '' }];
  agent.answers('FetchX509SVID', { message: { svids } });
  // not before: a client that was told `unimplemented` asks no more
  await agent.listen();
  const { client } = two.service;
  if (!client) throw new Error('no client');
  await until(client, () => client.current.status === 'ready');
  const codeOfChain = (chainOf: readonly Certificate[]): string => {
    try {
      return validateX509Svid(chainOf, two.trust, Date.now()).id.path;
    } catch (error) {
      return codeOf(error);
    }
  };
  const byBob = async (path: string) =>
    codeOfChain((await two.ofBob.x509(path)).map(({ certificate }) => certificate));
  return { ...two, byBob, bySpire: () => codeOfChain(readCertificates(chain)) };
}

test('an agent with authorities of its own says itself who has which ID', async (t) => {
  const { byBob, bySpire } = await rig(t, () => []);
  t.is(bySpire(), '/of-spire');
  t.is(await byBob(`node/${bob}`), 'svid_untrusted', 'the ledger is not asked');
});

test('what an agent has of the ledger is bound by its entries', async (t) => {
  const { byBob, bySpire, enter } = await rig(t, ({ der }) => [der]);
  t.is(await byBob(`node/${bob}`), `/node/${bob}`);
  t.is(await byBob('web'), 'svid_not_registered');
  enter('web', {});
  t.is(await byBob('web'), '/web');
  t.is(bySpire(), 'svid_not_registered', 'nobody published it');
});

test('on kept connections the entries are asked for again, whatever the agent says', async (t) => {
  const { ofBob, trust, enter } = await rig(t, ({ der }) => [der]);
  enter('web', {});
  const ask = connectionOf(trust, await ofBob.x509('web'));
  const caller = await ask();
  t.is(caller.principal.id, idOf('web'));
  enter('web');
  t.throws(() => caller.assertHolds(), { code: 'svid_not_registered' });
  await t.throwsAsync(ask, { code: 'svid_not_registered' });
});
