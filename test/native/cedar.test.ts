import { createRequire } from 'node:module';
import * as fc from 'fast-check';
import test from 'ava';
import { CedarModule, load } from '#native/cedar-module.ts';
import { loadCedar } from '#native/cedar.ts';
import { CEDAR } from '#native/cedar-version.ts';
import { fail } from '#ledger/errors.ts';
import type { PolicyProgram, PolicySubject } from '#ledger/ports.ts';
import { BASE } from '#test/support/policy.ts';
import { codeIn } from '#test/support/codes.ts';
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs';

const engine = loadCedar();
const cedar = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as typeof Cedar;

const compile = (policies: Record<string, string>, schema = BASE): PolicyProgram =>
  engine.compile({ policies: new Map(Object.entries(policies)), base: BASE, schema });

test('the engine is the one that genesis objects name: release and digest of its code', (t) => {
  t.is(engine.version, CEDAR);
});

const SCOPES = {
  principal: [
    'principal', 'principal == Actor::"a"', 'principal in Role::"r"', 'principal is Actor',
    'principal is Spiffe in Role::"s"', 'principal in Actor::"b"',
  ],
  action: [
    'action', 'action == Action::"kv.put/1"', 'action in Action::"data"',
    'action in [Action::"kv.delete/1", Action::"policy"]', 'action in Action::"events"',
  ],
  resource: [
    'resource', 'resource == Key::"x/1"', 'resource in KeyPrefix::"x/"', 'resource is Key',
    'resource is Key in KeyPrefix::""', 'resource in KeyPrefix::"x/1"',
  ],
};
const CONDITIONS = [
  '', 'when { context.time_ms > 5 }', 'when { context has onBehalfOf }',
  'unless { principal in Role::"r" }', 'when { resource == Key::"y" }',
  'when { {Var: context.time_ms, Value: 1}.Var == 5 }',
  'when { principal is Actor && principal.labels.contains("eu") }',
  'when { context == context && principal == principal }',
  'when { if context has onBehalfOf then context.onBehalfOf == "n" else false }',
  'when { action in Action::"data" }',
  // goes wrong where the time is large: the policy does not apply
  'when { context.time_ms + 9223372036854775807 > 0 }',
];
const KINDS = ['kv.put/1', 'kv.delete/1', 'policy.put/1'];

const policy = fc.record({
  effect: fc.constantFrom('permit', 'forbid'),
  principal: fc.constantFrom(...SCOPES.principal),
  action: fc.constantFrom(...SCOPES.action),
  resource: fc.constantFrom(...SCOPES.resource),
  condition: fc.constantFrom(...CONDITIONS),
}).map(({ effect, principal, action, resource, condition }) =>
  `${effect} (${principal}, ${action}, ${resource}) ${condition};`);

const PREFIXES = ['', 'x/', 'x/1'];
const role = fc.subarray(['r', 's']);
const subject = fc.oneof(
  fc.record({ id: fc.constantFrom('a', 'b'), roles: role, labels: fc.subarray(['eu', 'us']) })
    .map(({ id, roles, labels }) => actor(id, roles, labels)),
  role.map((roles): PolicySubject => ({
    type: 'Spiffe', id: 'spiffe://t/w', parents: inRoles(roles),
    attrs: { trustDomain: 't', path: '/w' },
  })),
);
function inRoles(roles: readonly string[]) {
  return roles.map((id) => ({ type: 'Role', id }));
}
function actor(id: string, roles: readonly string[], labels: readonly string[]): PolicySubject {
  return { type: 'Actor', id, parents: inRoles(roles), attrs: { labels, actor: id } };
}
function key(id: string): PolicySubject {
  const parents = PREFIXES.filter((one) => id.startsWith(one))
    .map((one) => ({ type: 'KeyPrefix', id: one }));
  return { type: 'Key', id, parents, attrs: { key: id } };
}
const question = fc.record({
  principal: subject,
  action: fc.constantFrom(...KINDS),
  key: fc.constantFrom('x/1', 'x/12', 'x', 'y'),
  time_ms: fc.constantFrom(0, 5, 6),
  onBehalfOf: fc.option(fc.constantFrom('n', 'm'), { nil: undefined }),
});
type Question = typeof question extends fc.Arbitrary<infer Value> ? Value : never;

const resourceIn = ({ action, key: id }: Question): PolicySubject =>
  action === 'policy.put/1' ? { type: 'Policy', id, parents: [], attrs: {} } : key(id);
const contextIn = ({ time_ms, onBehalfOf }: Question) => ({
  time_ms,
  ...(onBehalfOf !== undefined && { onBehalfOf }),
});

/** Cedar itself with all policies, the schema and validated requests. */
function asked(policies: Record<string, string>, one: Question) {
  const entity = ({ type, id, attrs, parents }: PolicySubject) => ({
    uid: { type, id }, attrs: attrs as Record<string, Cedar.CedarValueJson>, parents: [...parents],
  });
  const resource = resourceIn(one);
  const answer = cedar.isAuthorized({
    principal: { type: one.principal.type, id: one.principal.id },
    action: { type: 'Action', id: one.action },
    resource: { type: resource.type, id: resource.id },
    context: contextIn(one),
    schema: BASE,
    validateRequest: true,
    policies: { staticPolicies: policies },
    entities: [entity(one.principal), entity(resource)],
  });
  if (answer.type === 'failure') return fail('test', JSON.stringify(answer.errors));
  const { decision, diagnostics: { reason, errors } } = answer.response;
  return {
    isAllowed: decision === 'allow',
    reasons: reason.toSorted(),
    errors: errors.map(({ policyId }) => policyId).toSorted(),
  };
}

test('slicing and remembering never change an answer: the same as Cedar with everything', (t) => {
  let allowed = 0;
  let failed = 0;
  fc.assert(
    fc.property(
      fc.array(policy, { minLength: 1, maxLength: 6 }),
      fc.array(question, { minLength: 12, maxLength: 12 }),
      (texts, questions) => {
        const policies = Object.fromEntries(texts.map((text, i) => [`p${i}`, text]));
        // what contradicts the schema is refused: then there is nothing to compare
        const fits = texts.filter((text) => codeIn(() => compile({ one: text })) === 'none');
        if (fits.length < texts.length) return;
        const program = compile(policies);
        for (const one of questions) {
          const decision = program.decide({
            action: one.action,
            principal: () => one.principal,
            resource: () => resourceIn(one),
            context: () => contextIn(one),
          });
          t.deepEqual(decision, asked(policies, one));
          allowed += decision.isAllowed ? 1 : 0;
          failed += decision.errors.length;
        }
      },
    ),
    { numRuns: 40, seed: 6 },
  );
  // both kinds of answers were compared, and policies that fail
  t.true(allowed > 20 && failed > 0, `${allowed} ${failed}`);
});

test('a question that a policy fails on: it does not apply', (t) => {
  const program = compile({
    a: 'permit (principal, action in Action::"data", resource);',
    b: 'forbid (principal, action, resource) when { context.time_ms + 9223372036854775807 > 0 };',
  });
  const decision = program.decide({
    action: 'kv.put/1', principal: () => actor('a', [], []), resource: () => key('x'),
    context: () => ({ time_ms: 5 }),
  });
  t.deepEqual(decision, { isAllowed: true, reasons: ['a'], errors: ['b'] });
});

test('an action that the schema does not know is nobody\'s', (t) => {
  const program = compile({ all: 'permit (principal, action, resource);' });
  const decision = program.decide({
    action: 'no.such/1', principal: () => actor('a', [], []), resource: () => key('x'),
    context: () => ({}),
  });
  t.false(decision.isAllowed);
});

test('what no policy looks at is not computed', (t) => {
  const program = compile({ all: 'permit (principal, action, resource);' });
  const never = (): never => fail('test', 'computed');
  const [principal, resource] = [() => actor('a', [], []), () => key('x')];
  const context = () => ({ time_ms: 1 });
  t.true(program.decide({ action: 'kv.put/1', principal, resource, context }).isAllowed);
  t.true(program.decide({
    action: 'kv.put/1', principal: never, resource: never, context: never,
  }).isAllowed);
});

test('ids that policies name are known by their type', (t) => {
  const program = compile({
    a: 'permit (principal in Role::"r", action, resource in KeyPrefix::"x/");',
    b: 'permit (principal, action, resource) when { resource in KeyPrefix::"y/" };',
  });
  t.deepEqual(program.mentioned('KeyPrefix'), ['x/', 'y/']);
  t.deepEqual(program.mentioned('Role'), ['r']);
});

test('a policy that can never apply is told, and taken', (t) => {
  const { warnings } = compile({
    a: 'permit (principal == Local::"operator", action == Action::"kv.put/1", resource);',
  });
  t.true(warnings.length > 0);
});

test('no text breaks the engine: what is nested too deep is refused before it is parsed', (t) => {
  const of = (condition: string) => `permit (principal, action, resource) when { ${condition} };`;
  const shapes: Readonly<Record<string, (n: number) => string>> = {
    parentheses: (n) => `${'('.repeat(n)}true${')'.repeat(n)}`,
    sets: (n) => `${'['.repeat(n)}1${']'.repeat(n)} == 1`,
    records: (n) => `${'{"a":'.repeat(n)}1${'}'.repeat(n)} == 1`,
    sums: (n) => `${'1+'.repeat(n)}1 == 1`,
    branches: (n) => `${'if true then '.repeat(n)}true${' else true'.repeat(n)}`,
    attributes: (n) => `context${'.a'.repeat(n)} == 1`,
    negations: (n) => `${'!'.repeat(n)}true`,
  };
  for (const [name, shape] of Object.entries(shapes)) {
    for (const n of [16, 24, 64, 128, 500, 1000]) {
      const code = codeIn(() => compile({ a: of(shape(n)) }));
      const taken = ['none', 'policy_invalid', 'policy_contradicts_schema'];
      t.true(taken.includes(code), `${name} ${n}: ${code}`);
      if (n > 128) t.is(code, 'policy_invalid', name);
    }
    t.is(codeIn(() => compile({ a: 'permit (principal, action, resource);' })), 'none');
  }
  const text = `${BASE}\nentity Deep { a: ${'Set<'.repeat(300)}Long${'>'.repeat(300)} };`;
  t.is(codeIn(() => compile({}, text)), 'policy_schema_invalid');
});

test('what was refused is refused again, and what was parsed before decides the same', (t) => {
  const bad = { a: 'permit (principal == User::"x", action, resource);' };
  t.is(codeIn(() => compile(bad)), 'policy_contradicts_schema');
  t.is(codeIn(() => compile(bad)), 'policy_contradicts_schema');
  const mixed = { ...bad, b: 'permit (principal, action' };
  t.is(codeIn(() => compile(mixed)), 'policy_invalid');
});

test('more slices than stay parsed inside Cedar are told apart all the same', (t) => {
  const count = 300;
  const policies: Record<string, string> = {};
  for (let i = 0; i < count; i++) {
    policies[`p${i}`] = `permit (principal, action == Action::"kv.put/1", resource == Key::"k${i}")
      when { context.time_ms == ${i} };`;
  }
  const program = compile(policies);
  const may = (i: number, time_ms: number) => program.decide({
    action: 'kv.put/1', principal: () => actor('a', [], []),
    resource: () => key(`k${i}`), context: () => ({ time_ms }),
  });
  for (let i = 0; i < count; i++) t.deepEqual(may(i, i).reasons, [`p${i}`]);
  for (let i = 0; i < count; i++) t.false(may(i, i + 1).isAllowed);
});

test('a module that broke down is loaded anew and answers', (t) => {
  const module = new CedarModule(load.resolve('@cedar-policy/cedar-wasm/nodejs'));
  const policies = () => ({ a: 'permit (principal, action, resource);' });
  t.is(module.setOf('a', policies), 'set-0');
  t.is(codeIn(() => module.use(() => { throw new RangeError('stack'); })), 'engine_failed');
  t.is(module.setOf('a', policies), 'set-0');
  t.is(module.use((api) => api.getCedarVersion()), '4.13.0');
  t.is(codeIn(() => module.setOf('bad', () => ({ a: 'permit' }))), 'engine_failed');
});
