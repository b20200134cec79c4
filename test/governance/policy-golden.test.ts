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
  t.is(POLICY.version, 2);
  t.is(root(), '7a6ee2998743a52b13ebea7b118ae451bb1d9b4bda04017ebf5b491bc9313f5f');
  const text = 'forbid (principal, action, resource == Key::"x");';
  t.is(bench.apply('policy.put/1', { id: 'one', text }), 'applied');
  t.is(bench.apply('policy.assign/1', { principal: MEMBER, roles: ['b', 'a'] }), 'applied');
  t.is(bench.apply('policy.schema/1', { text: `${bench.policy.baseSchema}\n` }), 'applied');
  t.is(bench.apply('policy.rollback/1', { version: 1 }), 'applied');
  t.is(root(), '4ff7cc725b2185a5c60f172d4d242d4ae30100411c1ccae6a8bb57ce9e11063d');
});

test('the version stands for this base schema', (t) => {
  const text = baseSchema([...KINDS, ...POLICY_KINDS]);
  const id = idOf(new TextEncoder().encode(text));
  t.is(id, 'eb9b7e40f4c92f20919e9d9c97289bd0602dd86156ced73c125665c46d7a85d8');
});
