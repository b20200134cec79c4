import test from 'ava';
import { startSingleNode } from '#test/support/single-node.ts';

test('the bundle is given as it is, and 404 where there are no identities', async (t) => {
  const node = await startSingleNode();
  t.teardown(() => node.close());
  const none = await node.api.inject('/v1/identity/bundle');
  t.is(none.statusCode, 404);
  t.is(none.json().code, 'identity_inactive');
  node.bundle = '{"keys":[],"spiffe_sequence":18446744073709551615}';
  const reply = await node.api.inject('/v1/identity/bundle');
  t.is(reply.statusCode, 200);
  t.regex(reply.headers['content-type'] ?? '', /^application\/json/);
  t.is(reply.body, node.bundle);
});
