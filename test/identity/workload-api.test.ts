import test from 'ava';
import { validateJwtSvid } from '#node/identity/jwt-svid.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { TRUST_DOMAIN, makeRig, ownEntry, until } from './support.ts';

test('a client gets its SVID, the bundles and tokens from the provider', async (t) => {
  const rig = await makeRig();
  t.teardown(() => rig.stop());
  rig.state.enter(ownEntry());
  const client = rig.client();
  await until(client, () => client.current.status === 'ready');
  t.is(client.defaultSvid.id.uri, `spiffe://${TRUST_DOMAIN}/own`);
  await until(client, () => client.current.jwtBundles.size > 0);
  const [jwt] = await client.fetchJwt(['reports']);
  t.is(jwt?.id.uri, `spiffe://${TRUST_DOMAIN}/own`);
  const token = jwt?.token ?? '';
  const { id } = await validateJwtSvid(token, ['reports'], client, Date.now());
  t.is(id.uri, `spiffe://${TRUST_DOMAIN}/own`);
  const validated = await client.validateJwt('reports', token);
  t.is(validated.id.uri, id.uri);
  t.deepEqual(validated.claims['aud'], ['reports']);
  t.is(await codeOfPromise(client.validateJwt('others', token)), 'workload_refused');
  t.true(rig.refused.includes('jwt_svid_audience'));
});

test('a caller that no entry fits is denied, until there is one', async (t) => {
  const rig = await makeRig();
  t.teardown(() => rig.stop());
  const client = rig.client();
  await until(client, () => client.current.status === 'denied');
  t.is(client.current.svids.length, 0);
  rig.state.enter(ownEntry());
  await until(client, () => client.current.status === 'ready');
  t.is(client.current.svids.length, 1);
  rig.state.enter();
  await until(client, () => client.current.status === 'denied');
  t.deepEqual(client.current.svids, []);
});
