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
  t.is(root(), 'e35c1c3c22ff8142d6dcf5a94dc6c635e351df761c8fa4145dd4ea5852a072ed');
  const text = 'forbid (principal, action, resource == Key::"x");';
  t.is(bench.apply('policy.put/1', { id: 'one', text }), 'applied');
  t.is(bench.apply('policy.assign/1', { principal: MEMBER, roles: ['b', 'a'] }), 'applied');
  t.is(bench.apply('policy.schema/1', { text: `${bench.policy.baseSchema}\n` }), 'applied');
  t.is(bench.apply('policy.rollback/1', { version: 1 }), 'applied');
  t.is(root(), '21d6b6e1b89f0e18bfa044ec9d05fd1795597bf0891cc1ee739366aea3191f4c');
});

test('the version stands for this base schema', (t) => {
  const text = baseSchema([...KINDS, ...POLICY_KINDS]);
  const id = idOf(new TextEncoder().encode(text));
  t.is(id, 'a9d8a25b2c9c558008643a227717e40af29f60f5b4299c37777b0db1086b0960');
});
