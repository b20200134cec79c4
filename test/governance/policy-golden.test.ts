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
  t.is(POLICY.version, 3);
  t.is(root(), '8a516f2c02de91add993d77aeb8419cb50a0511c8fec987edbd693b81e1c0b54');
  const text = 'forbid (principal, action, resource == Key::"x");';
  t.is(bench.apply('policy.put/1', { id: 'one', text }), 'applied');
  t.is(bench.apply('policy.assign/1', { principal: MEMBER, roles: ['b', 'a'] }), 'applied');
  t.is(bench.apply('policy.schema/1', { text: `${bench.policy.baseSchema}\n` }), 'applied');
  t.is(bench.apply('policy.rollback/1', { version: 1 }), 'applied');
  t.is(root(), '778b7aab1840a9558c2708bf217becb4d01112e87ba774427a9a2c9e4f69a950');
});

test('the version stands for this base schema', (t) => {
  const text = baseSchema([...KINDS, ...POLICY_KINDS]);
  const id = idOf(new TextEncoder().encode(text));
  t.is(id, 'ace7094b21fe85cd21ffb3971ec5ff456334c9163a3d666797d340583a45e74d');
});
