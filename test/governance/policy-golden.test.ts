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
  t.is(root(), '4c0608b27080b1caa55040b0c498576e005f8e934c3ec8cbd955a4594383049d');
  const text = 'forbid (principal, action, resource == Key::"x");';
  t.is(bench.apply('policy.put/1', { id: 'one', text }), 'applied');
  t.is(bench.apply('policy.assign/1', { principal: MEMBER, roles: ['b', 'a'] }), 'applied');
  t.is(bench.apply('policy.schema/1', { text: `${bench.policy.baseSchema}\n` }), 'applied');
  t.is(bench.apply('policy.rollback/1', { version: 1 }), 'applied');
  t.is(root(), 'dfa43424506316035cfe54711674a216ce6ec72c8a6e92363f42d895b2884225');
});

test('the version stands for this base schema', (t) => {
  const text = baseSchema([...KINDS, ...POLICY_KINDS]);
  const id = idOf(new TextEncoder().encode(text));
  t.is(id, '2c864adafc55c4dfba0f34fbb8615ac7861a6ee4abd0a037c59ef11c56fe0158');
});
