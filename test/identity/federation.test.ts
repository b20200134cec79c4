/** Foreign bundles that stay current: real endpoints, virtual time. */
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { bytesOf, idOf } from '#ledger/ids.ts';
import { serialiseBundle } from '#node/identity/bundle.ts';
import { areIn, changeCommittee } from '#test/support/epochs.ts';
import { FederatedCluster } from '#test/support/federated-cluster.ts';
import { authorityBody } from './ledger.ts';
import type { Crafted } from './craft.ts';
import {
  ENDPOINT_ID, FOREIGN, ForeignEndpoint, authority, documentOf, pemOf, svidOf, webCertificateOf,
} from './foreign-endpoint.ts';

const WINDOW_MS = 300_000;
const HOUR_MS = 12 * WINDOW_MS;
const utf8 = new TextEncoder();
const [first, second, third] = [await authority(), await authority(), await authority()] as const;
const [shown1, shown2] = [
  await svidOf(first), await svidOf(second),
] as const;
/** A root of the web, for this process. */
const webRoot = await authority({ uris: [] });
const webShown = await webCertificateOf(webRoot);
setDefaultCACertificates([...getCACertificates('default'), pemOf(webRoot)]);

const spiffe = (url: string) => ({ url, profile: 'https_spiffe', id: ENDPOINT_ID }) as const;

async function start(
  t: ExecutionContext,
  shown: Crafted,
  document: string,
  validators: number,
  idle: readonly number[] = [],
) {
  const endpoint = await ForeignEndpoint.open(shown, document);
  const cluster = await FederatedCluster.start(validators, idle);
  t.teardown(async () => {
    await cluster.stop();
    await endpoint.close();
  });
  return { endpoint, cluster };
}

async function spiffeCluster(
  t: ExecutionContext,
  validators: number,
  idle: readonly number[] = [],
) {
  const document = documentOf([first], 1n);
  const { endpoint, cluster } = await start(t, shown1, document, validators, idle);
  const bundle = utf8.encode(document);
  await cluster.federate({ trustDomain: FOREIGN, bundle, endpoint: spiffe(endpoint.url) });
  return { endpoint, cluster };
}

test.serial('https_spiffe: the foreign domain rotates its keys in two refreshes', async (t) => {
  const { endpoint, cluster } = await spiffeCluster(t, 4);
  const { sim } = cluster;
  t.true(await sim.until(() => endpoint.requests >= 6, 10 * WINDOW_MS), 'it is polled');
  t.deepEqual(cluster.refreshes(), [], 'nothing has changed: nothing is said');
  endpoint.document = documentOf([first, second], 2n);
  t.true(await sim.until(() => cluster.isAt(2n), 3 * WINDOW_MS));
  // the new key serves the endpoint from now on: the bundle that was known last vouches for it
  endpoint.show(shown2);
  endpoint.document = documentOf([second], 3n);
  t.true(await sim.until(() => cluster.isAt(3n), 3 * WINDOW_MS));
  const said = cluster.refreshes();
  t.true(said.length >= 4 && said.length <= 8, said.join());
  // two may complete at once
  t.true([2, 3, 4].includes(cluster.documents()), `${cluster.documents()} documents`);
  // an old key is worth nothing any more
  endpoint.show(shown1);
  endpoint.document = documentOf([first], 4n);
  const isRefused = () => cluster.failures().includes('svid_untrusted');
  t.true(await sim.until(isRefused, 3 * WINDOW_MS));
  t.true(cluster.isAt(3n));
  t.is(new Set(sim.summaries()).size, 1);
  t.deepEqual(sim.troubles(), []);
});

test.serial('https_web: the foreign domain rotates its keys in two refreshes', async (t) => {
  const document = documentOf([first], 1n, 0);
  const { endpoint, cluster } = await start(t, webShown, document, 1);
  const { sim } = cluster;
  const parameters = { url: endpoint.url, profile: 'https_web' };
  const bundle = utf8.encode(document);
  await cluster.federate({ trustDomain: FOREIGN, bundle, endpoint: parameters });
  await sim.until(() => endpoint.requests > 0, 5 * WINDOW_MS);
  t.is(cluster.services.get(0)?.status[0]?.interval_s, 300, 'without a hint: five minutes');
  endpoint.document = documentOf([first, second], 2n);
  t.true(await sim.until(() => cluster.isAt(2n), 11 * WINDOW_MS));
  endpoint.document = documentOf([second], 3n);
  t.true(await sim.until(() => cluster.isAt(3n), 3 * WINDOW_MS));
  t.deepEqual(cluster.refreshes(), ['0 applied', '0 applied']);
  // a certificate of no root is refused, and what is held stays
  endpoint.show(await webCertificateOf(await authority({ uris: [] })));
  endpoint.document = documentOf([third], 4n);
  const isRefused = () => cluster.failures().includes('bundle_endpoint_untrusted');
  t.true(await sim.until(isRefused, 3 * WINDOW_MS));
  t.true(cluster.isAt(3n));
});

test.serial('while an endpoint is down the last bundle stays, and it is asked less', async (t) => {
  const { endpoint, cluster } = await spiffeCluster(t, 1);
  const { sim } = cluster;
  t.true(await sim.until(() => endpoint.requests > 0, 3 * WINDOW_MS));
  endpoint.down();
  endpoint.document = documentOf([first, second], 2n);
  await sim.run(32 * WINDOW_MS);
  t.deepEqual(cluster.failures(), ['bundle_endpoint_failed']);
  t.true(cluster.isAt(1n));
  const failed = await cluster.metric('failures', 'bundle_endpoint_failed');
  t.true(failed >= 3 && failed <= 12, `${failed} of 32 windows`);
  t.is(await cluster.metric('fetches', 'failed'), failed);
  endpoint.up();
  t.true(await sim.until(() => cluster.isAt(2n), 20 * WINDOW_MS), 'it comes back by itself');
  const [status] = cluster.services.get(0)?.status ?? [];
  t.true((status?.checked_ms ?? 0) > (status?.failure?.at_ms ?? 0));
});

test.serial('a validator that lies replaces nothing, and costs the endpoint little', async (t) => {
  const { endpoint, cluster } = await spiffeCluster(t, 4, [3]);
  const { sim } = cluster;
  const basis = bytesOf(cluster.held()?.basis ?? '');
  const windows = 6;
  for (let each = 0; each < windows * 6; each += 1) {
    const lie = utf8.encode(documentOf([third, second], BigInt(100 + each)));
    const told = { digest: bytesOf(idOf(lie)), sequence: String(100 + each) };
    const body = { trustDomain: FOREIGN, basis, ...told, ...(each % 2 === 1 && { bundle: lie }) };
    await sim.during(sim.at(3).core.author('identity.refresh/1', body, true));
    await sim.run(WINDOW_MS / 6);
  }
  t.true(cluster.isAt(1n));
  const said = cluster.refreshes();
  t.deepEqual(new Set(said), new Set(['3 applied', '3 identity_invalid']), 'nobody joins in');
  t.true(endpoint.requests <= (windows + 1) * 3 * 5, `${endpoint.requests} requests`);
  // the truth is heard all the same
  endpoint.document = documentOf([first, second], 2n);
  t.true(await sim.until(() => cluster.isAt(2n), 6 * WINDOW_MS));
  t.is(new Set(sim.summaries()).size, 1);
});

test.serial('an endpoint that never says the same twice costs the ledger little', async (t) => {
  const { endpoint, cluster } = await spiffeCluster(t, 4);
  const { sim } = cluster;
  let gets = 10;
  const hints = (): number => 60 + (gets += 1);
  Object.defineProperty(endpoint, 'document', {
    get: () => JSON.stringify({
      ...(JSON.parse(documentOf([first], BigInt(gets))) as object),
      spiffe_refresh_hint: hints(),
    }),
  });
  await sim.run(5 * WINDOW_MS);
  const [said, asked] = [cluster.refreshes().length, endpoint.requests];
  t.true(said > 0 && said <= 4 * 6, `${said} statements`);
  t.is(cluster.documents(), 0, 'no two saw the same');
  await sim.run(7 * WINDOW_MS);
  t.log(said, asked, cluster.refreshes().length, endpoint.requests);
  t.true(cluster.refreshes().length - said <= 14, `${cluster.refreshes().length} after ${said}`);
  t.true(endpoint.requests - asked <= 24, `${endpoint.requests} after ${asked}`);
  t.true(cluster.failures().includes('bundle_unsteady'), cluster.failures().join());
});

test.serial('a bundle that is older, of another domain or none is refused', async (t) => {
  const { endpoint, cluster } = await spiffeCluster(t, 1);
  const { sim } = cluster;
  endpoint.document = documentOf([first, second], 7n);
  t.true(await sim.until(() => cluster.isAt(7n), 3 * WINDOW_MS));
  const foreign = await authority({ uris: ['spiffe://third.example'] });
  const wrong = {
    bundle_stale: documentOf([first], 6n),
    bundle_other_domain: documentOf([first, foreign], 8n),
    bundle_invalid: 'hello',
  };
  for (const [code, document] of Object.entries(wrong)) {
    endpoint.document = document;
    t.true(await sim.until(() => cluster.failures()[0] === code, 20 * WINDOW_MS), code);
  }
  t.true(cluster.isAt(7n));
  t.is(cluster.refreshes().length, 1);
  endpoint.document = documentOf([second, third], 8n);
  t.true(await sim.until(() => cluster.isAt(8n), 20 * WINDOW_MS));
});

test.serial('a sequence that grows by itself is no change, and hinders none', async (t) => {
  const { endpoint, cluster } = await spiffeCluster(t, 4);
  const { sim } = cluster;
  let polls = 10;
  let authorities = [first];
  Object.defineProperty(endpoint, 'document', {
    get: () => documentOf(authorities, BigInt((polls += 1))),
  });
  t.true(await sim.until(() => endpoint.requests >= 8, 10 * WINDOW_MS));
  t.deepEqual(cluster.refreshes(), []);
  authorities = [first, second];
  const isRefreshed = () => (cluster.held()?.sequence ?? 0n) > 1n;
  t.true(await sim.until(isRefreshed, 10 * WINDOW_MS), 'no two validators see one document');
});

test.serial('https_spiffe: the endpoint of another domain is judged by its bundle', async (t) => {
  const document = documentOf([first], 1n);
  const { endpoint, cluster } = await start(t, shown1, document, 1);
  const { sim } = cluster;
  const bundle = utf8.encode(document);
  const own = cluster.trustDomain;
  for (const [name, sequence] of [['mirror.example', 2n], [own, 3n]] as const) {
    const ca = await authority({ uris: [`spiffe://${name}`] });
    // of the own trust domain an issuer vouches for its node, for an hour
    const path = name === own ? `node/${sim.at(0).who.actor}` : 'bundles';
    const id = `spiffe://${name}/${path}`;
    endpoint.show(await svidOf(ca, id, sim.clock.wall_ms() + HOUR_MS));
    const parameters = { ...spiffe(endpoint.url), id };
    await cluster.federate({ trustDomain: FOREIGN, bundle, endpoint: parameters });
    const isUnknown = () => cluster.failures()[0] !== undefined;
    t.true(await sim.until(isUnknown, 3 * WINDOW_MS), `nothing is known of ${name}`);
    if (name === own) {
      const published = await authorityBody({ x509: ca.der });
      await sim.during(sim.at(0).core.author('identity.authority/1', published, true));
    } else {
      const x509 = [ca.certificate];
      const parts = { trustDomain: name, x509, jwt: [], sequence: 1n, refreshHint_s: 60 };
      await cluster.federate({ trustDomain: name, bundle: utf8.encode(serialiseBundle(parts)) });
    }
    endpoint.document = documentOf([first, second], sequence);
    t.true(await sim.until(() => cluster.isAt(sequence), 20 * WINDOW_MS), name);
  }
});

/** Two of seven vouch for a newer bundle, and so they do when the committee has four: enough. */
async function shrunk(t: ExecutionContext, isRestarted: boolean) {
  const { endpoint, cluster } = await spiffeCluster(t, 7, [2, 3, 4, 5, 6]);
  const { sim } = cluster;
  endpoint.document = documentOf([first, second], 2n);
  const isPending = () => cluster.held()?.pending.length === 2;
  t.true(await sim.until(isPending, 10 * WINDOW_MS));
  await sim.run(5 * WINDOW_MS);
  t.true(isPending() && cluster.isAt(1n), 'two of seven are not enough');
  endpoint.down();
  if (isRestarted) cluster.restart([0, 1]);
  await changeCommittee(sim, 0, [], [4, 5, 6].map((index) => sim.at(index).who));
  t.true(await sim.until(() => areIn(sim, 1), 10_000));
  return { endpoint, cluster, sim };
}

test.serial('in a smaller committee who holds the document tells it', async (t) => {
  const { cluster, sim } = await shrunk(t, false);
  t.true(await sim.until(() => cluster.isAt(2n), WINDOW_MS), 'without another fetch');
  t.deepEqual(cluster.refreshes(), ['0 applied', '1 applied', '0 applied']);
  t.deepEqual(sim.troubles(), []);
});

test.serial('in a smaller committee who lost the document fetches it again', async (t) => {
  const { endpoint, cluster, sim } = await shrunk(t, true);
  await sim.run(3 * WINDOW_MS);
  t.true(cluster.isAt(1n), 'nobody has it');
  endpoint.up();
  t.true(await sim.until(() => cluster.isAt(2n), 20 * WINDOW_MS));
  t.is(cluster.documents(), 1);
  t.deepEqual(sim.troubles(), []);
});
