import test from 'ava';
import { POLICY_KINDS, baseSchema } from '#governance/policy-base.ts';
import { POLICY } from '#governance/policy.ts';
import { idOf } from '#ledger/ids.ts';
import { StateHash } from '#ledger/state-hash.ts';
import { loadCedar } from '#native/cedar.ts';
import { MEMBER, PolicyBench } from '#test/support/policy.ts';

/**
 * Rows and base schema are part of what every node computes: where these values change, the
 * projection gets another version.
 */

const KINDS = [
  'committee.change/1', 'committee.leave/1', 'committee.return/1', 'evidence.equivocation/1',
  'kv.delete/1', 'kv.put/1',
];

test('the version stands for these rows', (t) => {
  const bench = new PolicyBench(loadCedar(), KINDS);
  const root = (): string => {
    const hash = new StateHash();
    for (const [key, value] of bench.rows.rows) hash.replace(key, undefined, value);
    return hash.root().toHex();
  };
  t.is(POLICY.version, 1);
  t.is(root(), 'be22edbd1af9384f9f76f95c708639379e4608bed51278529c5813b99572f969');
  const text = 'forbid (principal, action, resource == Key::"x");';
  t.is(bench.apply('policy.put/1', { id: 'one', text }), 'applied');
  t.is(bench.apply('policy.assign/1', { principal: MEMBER, roles: ['b', 'a'] }), 'applied');
  t.is(bench.apply('policy.schema/1', { text: `${bench.policy.baseSchema}\n` }), 'applied');
  t.is(bench.apply('policy.rollback/1', { version: 1 }), 'applied');
  t.is(root(), '16b7d3d9e0440d4326ff70286c0fa74df93b2b9c7fa89f15aa99743a16435198');
});

test('the version stands for this base schema', (t) => {
  const text = baseSchema([...KINDS, ...POLICY_KINDS]);
  const id = idOf(new TextEncoder().encode(text));
  t.is(id, 'c3aa6b2c250c0919d91aca082402bef30466d35af7ed52cb4a61853cf9e5029c');
});
