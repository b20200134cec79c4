import test from 'ava';
import { DEFAULT_POLICIES } from '#governance/policy-base.ts';
import { readHead, readVersion } from '#governance/policy-state.ts';
import { HISTORY_MAX } from '#governance/policy-kinds.ts';
import { loadCedar } from '#native/cedar.ts';
import { codeIn } from '#test/support/codes.ts';
import {
  MEMBER, OPERATOR, PolicyBench, VALIDATOR, standingOf,
} from '#test/support/policy.ts';

const engine = loadCedar();
const bench = (): PolicyBench => new PolicyBench(engine);
const put = (text: string, id = 'mine') => ({ id, text });
const ONLY_APP = 'permit(principal, action in Action::"data", resource in KeyPrefix::"app/");';

test('the shipped set: members write, operators change committee and policies', (t) => {
  const one = bench();
  t.deepEqual(one.may(MEMBER, 'kv.put/1', { key: 'a' }), {
    isAllowed: true, reasons: ['default.data'], errors: [],
  });
  t.true(one.may(VALIDATOR, 'committee.leave/1').isAllowed);
  t.false(one.may(MEMBER, 'committee.change/1').isAllowed);
  t.true(one.may(OPERATOR, 'committee.change/1').isAllowed);
  t.false(one.may(VALIDATOR, 'policy.put/1', put('')).isAllowed);
  t.deepEqual(one.may(OPERATOR, 'policy.put/1', put('')).reasons, ['default.policy']);
  t.false(one.may(OPERATOR, 'nothing.known/1').isAllowed);
});

test('a policy decides from the next event on, and names itself', (t) => {
  const one = bench();
  const locked = `forbid(principal, action == Action::"kv.put/1", resource in KeyPrefix::"locked/")
    unless { principal in Role::"operator" };`;
  t.is(one.apply('policy.put/1', put(locked)), 'applied');
  const denied = one.may(MEMBER, 'kv.put/1', { key: 'locked/x' });
  t.deepEqual(denied, { isAllowed: false, reasons: ['mine'], errors: [] });
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'lockedx' }).isAllowed);
  t.true(one.may(OPERATOR, 'kv.put/1', { key: 'locked/x' }).isAllowed);
  t.true(one.may(MEMBER, 'kv.delete/1', { key: 'locked/x' }).isAllowed);
});

test('deny by default: without its rule nothing permits an action', (t) => {
  const one = bench();
  t.is(one.apply('policy.delete/1', { id: 'default.data' }), 'applied');
  t.deepEqual(one.may(MEMBER, 'kv.put/1', { key: 'a' }), {
    isAllowed: false, reasons: [], errors: [],
  });
  t.is(one.apply('policy.put/1', put(ONLY_APP)), 'applied');
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'app/a' }).isAllowed);
  t.false(one.may(MEMBER, 'kv.put/1', { key: 'other' }).isAllowed);
});

test('both the author and the one it speaks for must be permitted', (t) => {
  const one = bench();
  const workload = 'spiffe://example.org/web';
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'a' }, workload).isAllowed);
  const text = `forbid(principal is Spiffe, action, resource)
    when { principal.trustDomain == "example.org" };`;
  t.is(one.apply('policy.put/1', put(text)), 'applied');
  t.deepEqual(one.may(MEMBER, 'kv.put/1', { key: 'a' }, workload).reasons, ['mine']);
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'a' }, 'spiffe://example.org.evil/web').isAllowed);
  const speaks = 'forbid(principal, action, resource) when { context has onBehalfOf };';
  t.is(one.apply('policy.put/1', put(speaks)), 'applied');
  t.false(one.may(MEMBER, 'kv.put/1', { key: 'a' }, MEMBER).isAllowed);
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'a' }).isAllowed);
});

test('roles are assigned and taken, to actors and SPIFFE IDs', (t) => {
  const one = bench();
  one.apply('policy.delete/1', { id: 'default.data' });
  const writers = 'permit(principal in Role::"writer", action in Action::"data", resource);';
  one.apply('policy.put/1', put(writers));
  t.false(one.may(MEMBER, 'kv.put/1', { key: 'a' }).isAllowed);
  t.is(one.apply('policy.assign/1', { principal: MEMBER, roles: ['writer'] }), 'applied');
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'a' }).isAllowed);
  t.is(one.apply('policy.assign/1', { principal: MEMBER, roles: [] }), 'applied');
  t.false(one.may(MEMBER, 'kv.put/1', { key: 'a' }).isAllowed);
});

test('who may assign one role may not assign another', (t) => {
  const one = bench();
  const lead = `permit(principal in Role::"lead", action == Action::"policy.assign/1",
    resource == Role::"writer");`;
  one.apply('policy.put/1', put(lead));
  one.apply('policy.assign/1', { principal: VALIDATOR, roles: ['lead'] });
  const may = (roles: string[], principal = MEMBER) =>
    one.may(VALIDATOR, 'policy.assign/1', { principal, roles }).isAllowed;
  t.true(may(['writer']));
  t.false(may(['operator']));
  t.false(may(['writer', 'operator']));
  // taking a role away needs the right to it, too
  t.false(may(['writer'], VALIDATOR));
});

const TEXTS: readonly (readonly [what: string, verdict: string, text: string])[] = [
  ['text that does not parse', 'policy_invalid', 'permit(principal, action'],
  ['two policies in one text', 'policy_invalid', `${ONLY_APP}\n${ONLY_APP}`],
  ['a template', 'policy_invalid', 'permit(principal == ?principal, action, resource);'],
  ['deep nesting', 'policy_invalid', when(`${'('.repeat(300)}true${')'.repeat(300)}`)],
  [
    'nesting hidden behind a comment',
    'policy_invalid',
    `// "\r ${when(`${'['.repeat(300)}1${']'.repeat(300)} == 1`)}`,
  ],
  ['a long chain', 'policy_invalid', when(`${'1+'.repeat(600)}1 == 1`)],
  [
    'an unknown type',
    'policy_contradicts_schema',
    'permit(principal == User::"a", action, resource);',
  ],
  [
    'an unknown action',
    'policy_contradicts_schema',
    'permit(principal, action == Action::"kv.nope/1", resource);',
  ],
  [
    'a comparison of types that differ',
    'policy_contradicts_schema',
    when('context.time_ms == "a"'),
  ],
  [
    'an attribute that may be absent',
    'policy_contradicts_schema',
    `permit(principal, action == Action::"kv.put/1", resource)
     when { context.onBehalfOf == "a" };`,
  ],
  ['a forbid of everything', 'policy_lockout', 'forbid(principal, action, resource);'],
  [
    'a forbid of changing policies',
    'policy_lockout',
    'forbid(principal, action == Action::"policy.put/1", resource);',
  ],
  [
    'a forbid that begins later',
    'policy_lockout',
    'forbid(principal, action in Action::"policy", resource) when { context.time_ms > 5000 };',
  ],
  [
    'a forbid that begins later and ends before the end of time',
    'policy_lockout',
    `forbid(principal, action, resource)
     when { context.time_ms > 4102444800000 && context.time_ms < 9007199254740991 };`,
  ],
  [
    'a forbid that looks at the time in one of its clauses',
    'policy_lockout',
    `forbid(principal, action in Action::"policy", resource)
     when { principal in Role::"operator" } unless { context.time_ms < 5000 };`,
  ],
  [
    'a forbid that looks at the whole context',
    'policy_lockout',
    `forbid(principal, action == Action::"api.event.submit", resource)
     when { context == { time_ms: 5000, operation: "submitEvent" } };`,
  ],
  [
    'a forbid that looks at the time, with numbers that JSON rounds',
    'policy_lockout',
    `forbid(principal, action in Action::"policy", resource)
     when { context.time_ms > 3 } when { 9007199254740993 != 9007199254740992 };`,
  ],
  [
    'a forbid that looks at the time, with a chain as long as may be',
    'policy_lockout',
    `forbid(principal, action in Action::"policy", resource) // when { false }
     when { context.time_ms > 3 } when { ${'false || '.repeat(118)}true };`,
  ],
  [
    'a forbid of all operators that there are, and of none who could come',
    'policy_lockout',
    `forbid(principal == Actor::"${OPERATOR}", action in Action::"policy", resource);`,
  ],
  [
    'a policy that nobody may replace',
    'policy_lockout',
    'forbid(principal, action in Action::"policy", resource == Policy::"mine");',
  ],
  [
    'a forbid of all events',
    'policy_denies_everyone',
    `forbid(principal, action in [Action::"data", Action::"protocol", Action::"committee",
            Action::"membership"], resource);`,
  ],
];
const NOBODY = 'permit(principal == Actor::"00", action in Action::"policy", resource);';
const BAD: readonly (readonly [string, string, Record<string, unknown>, string])[] = [
  ...TEXTS.map(([what, verdict, text]) => [what, 'policy.put/1', put(text), verdict] as const),
  [
    'changes for one who is no member',
    'policy.put/1',
    put(NOBODY, 'default.policy'),
    'policy_lockout',
  ],
  [
    'changes for some time only',
    'policy.put/1',
    put(`permit(principal in Role::"operator", action in Action::"policy", resource)
         when { context.time_ms < 4102444800000 };`, 'default.policy'),
    'policy_lockout',
  ],
  [
    // each of these may be removed, and their roles with them
    'changes for one operator, and for a role that is assigned',
    'policy.put/1',
    put(`permit(principal, action in Action::"policy", resource)
         when { principal == Actor::"${OPERATOR}" || principal in Role::"keepers" };`,
    'default.policy'),
    'policy_lockout',
  ],
  [
    'removal of the rule for changes',
    'policy.delete/1',
    { id: 'default.policy' },
    'policy_lockout',
  ],
  ['removal of what is not there', 'policy.delete/1', { id: 'nope' }, 'policy_unknown'],
  ['a version that is not kept', 'policy.rollback/1', { version: 7 }, 'policy_unknown'],
  [
    'a change of what was changed since',
    'policy.put/1',
    { ...put(ONLY_APP), ifVersion: 3 },
    'policy_conflict',
  ],
  [
    'a schema that does not parse',
    'policy.schema/1',
    { text: 'entity A {' },
    'policy_schema_invalid',
  ],
  [
    'a schema without what nodes say',
    'policy.schema/1',
    { text: 'entity Actor;' },
    'policy_schema_invalid',
  ],
];
function when(condition: string): string {
  return `permit(principal, action, resource) when { ${condition} };`;
}
for (const [what, kind, body, verdict] of BAD) {
  test(`refused, and nothing changed: ${what}`, (t) => {
    const one = bench();
    const before = new Map(one.rows.rows);
    t.is(one.apply(kind, body), verdict);
    t.deepEqual(one.rows.rows, before);
    const event = one.event(kind, body);
    t.is(codeIn(() => one.policy.assertFits(event, 1000, one.rows, standingOf)), verdict);
  });
}

test('a rule may look at the time where operators are not concerned', (t) => {
  const one = bench();
  const night = `forbid(principal, action, resource) when { context.time_ms > 5000 }
    unless { principal in Role::"operator" };`;
  t.is(one.apply('policy.put/1', put(night)), 'applied');
  const chain = `${'false || '.repeat(100)}true`;
  const long = `@when("is no clause") forbid(principal, action, resource) when { ${chain} }
    when { context.time_ms > 9 && "when { } // \\" {" != "" }
    unless { principal in Role::"operator" };`;
  t.is(one.apply('policy.put/1', put(long, 'long')), 'applied');
  const some = 'permit(principal, action, resource) when { context.time_ms < 9 };';
  t.is(one.apply('policy.put/1', put(some, 'some')), 'applied');
});

test('a schema may add groups, and policies that use them hold it in place', (t) => {
  const one = bench();
  const grown = `${schemaText(one)}\naction "mine";`.replace(
    'action "kv.put/1" in ["data"]', 'action "kv.put/1" in ["data", "mine"]',
  );
  t.is(one.apply('policy.schema/1', { text: grown }), 'applied');
  const text = 'forbid(principal, action in Action::"mine", resource);';
  t.is(one.apply('policy.put/1', put(text)), 'applied');
  t.deepEqual(one.may(MEMBER, 'kv.put/1', { key: 'a' }).reasons, ['mine']);
  t.true(one.may(MEMBER, 'kv.delete/1', { key: 'a' }).isAllowed);
  t.is(one.apply('policy.schema/1', {}), 'policy_contradicts_schema');
});

test('going back is a new version with what held then', (t) => {
  const one = bench();
  one.apply('policy.put/1', put(ONLY_APP));
  one.apply('policy.delete/1', { id: 'default.data' });
  one.apply('policy.assign/1', { principal: MEMBER, roles: ['a'] });
  t.false(one.may(MEMBER, 'kv.put/1', { key: 'x' }).isAllowed);
  t.is(one.apply('policy.rollback/1', { version: 0 }), 'applied');
  t.true(one.may(MEMBER, 'kv.put/1', { key: 'x' }).isAllowed);
  const now = readVersion(one.rows, readHead(one.rows).version);
  const first = readVersion(one.rows, 0);
  t.deepEqual(now?.policies, first?.policies);
  t.is(now?.roles, undefined);
  t.is(readHead(one.rows).version, 4);
});

test('so many versions are kept, and no text that none of them has', (t) => {
  const one = bench();
  for (let i = 0; i < HISTORY_MAX + 10; i++) {
    one.apply('policy.put/1', put(`permit(principal, action, resource == Key::"k${i}");`));
  }
  const { version, oldest } = readHead(one.rows);
  t.is(version, HISTORY_MAX + 10);
  t.is(version - oldest + 1, HISTORY_MAX);
  const keys = [...one.rows.rows.keys()];
  t.is(keys.filter((key) => key.startsWith('version/')).length, HISTORY_MAX);
  const shipped = Object.keys(DEFAULT_POLICIES).length;
  t.is(keys.filter((key) => key.startsWith('text/')).length, HISTORY_MAX + shipped);
  t.is(one.apply('policy.rollback/1', { version: oldest - 1 }), 'policy_unknown');
});

test('callers are answered by what held, while a snapshot takes the rows away', (t) => {
  const one = bench();
  const call = {
    principal: { type: 'Actor', id: OPERATOR },
    action: 'api.log.read',
    resource: { type: 'Api', id: 'readLog' },
    context: { operation: 'readLog' },
  };
  const may = () => one.policy.permitsCall(call, 1, one.rows, standingOf).isAllowed;
  const text = 'forbid(principal, action == Action::"api.log.read", resource);';
  t.true(may());
  t.is(one.apply('policy.put/1', put(text)), 'applied');
  t.false(may());
  one.rows.rows.clear();
  t.false(may());
  const fresh = bench();
  fresh.rows.rows.clear();
  t.false(fresh.policy.permitsCall(call, 1, fresh.rows, standingOf).isAllowed);
});

function schemaText(one: PolicyBench): string {
  return one.policy.baseSchema;
}
