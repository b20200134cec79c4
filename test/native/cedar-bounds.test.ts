import test from 'ava';
import { loadCedar } from '#native/cedar.ts';
import { PolicyBench, BASE, OPERATOR } from '#test/support/policy.ts';
import { codeIn } from '#test/support/codes.ts';

const engine = loadCedar();
const DEFAULT = { a: 'permit (principal, action, resource);' };
const codeOf = (policies: Record<string, string>, schema = BASE): string =>
  codeIn(() =>
    engine.compile({ policies: new Map(Object.entries(policies)), base: BASE, schema }),
  );
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const lines = (count: number, line: (i: number) => string): string =>
  numbers(count).map(line).join('\n');
const names = (count: number): string => numbers(count).map((i) => `N${i}`).join();

const groups = (n: number): string =>
  `action g0;${lines(n, (i) => `action g${i + 1} in [g${i}];`)}`;

/** Each is taken where it is small, and refused where it would hold a node up. */
const SCHEMAS: readonly (readonly [string, (n: number) => string, number, number])[] = [
  [
    'named types, each twice in the next',
    (n) => `type T0 = {a: Long};
${lines(n, (i) => `type T${i + 1} = {a: T${i}, b: T${i}};`)} entity Zed {x: T${n}};`,
    6,
    20,
  ],
  [
    'named types in a namespace, each twice in the next',
    (n) => `namespace S { type T0 = {a: Long};
${lines(n, (i) => `type T${i + 1} = {a: S::T${i}, b: T${i}};`)} entity Zed {x: T${n}}; }`,
    6,
    20,
  ],
  [
    'named sets in each other',
    (n) => `type T0 = Long; ${lines(n, (i) => `type T${i + 1} = Set<T${i}>;`)}`,
    40,
    200,
  ],
  [
    'many large types',
    (n) => lines(n, (i) => `entity E${i} {${lines(200, (j) => `a${j}: Long,`)}};`),
    2,
    45,
  ],
  ['groups in groups', groups, 40, 190],
  ['more groups in groups', groups, 40, 1500],
  [
    'types in types',
    (n) => `entity E0;${lines(n, (i) => `entity E${i + 1} in [E${i}];`)}`,
    40,
    190,
  ],
  ['many types', (n) => lines(n, (i) => `entity E${i};`), 200, 2000],
  ['types at once, each in all', (n) => `entity ${names(n)} in [${names(n)}];`, 40, 3000],
  [
    'types at once, their list broken up',
    (n) => `entity // "\n @id("x") ${names(n).replaceAll(',', '\u0085,\u0085')} in [${names(n)}];`,
    0,
    3000,
  ],
  [
    'actions at once, each in all',
    (n) => `action ${names(n)} in [${lines(n, (i) => `M${i},`)}];`,
    0,
    1500,
  ],
  [
    'an action with many types',
    (n) => `entity ${names(n)};
action zz appliesTo {principal: [${names(n)}], resource: [${names(n)}]};`,
    15,
    200,
  ],
];
for (const [what, of, few, many] of SCHEMAS) {
  test(`a schema that stands for too much is refused before it costs that: ${what}`, (t) => {
    if (few > 0) t.is(codeOf(DEFAULT, `${BASE}\n${of(few)}`), 'none');
    t.is(codeOf(DEFAULT, `${BASE}\n${of(many)}`), 'policy_schema_invalid');
  });
}

test('a list of attributes is no list of names', (t) => {
  const schema = `${BASE}
@doc("one, two") entity A, B in [Role] { "x": Long, y?: Set<String>, /**/ };
entity C { ${lines(240, (i) => `a${i}: Long,`)} };`.replace('/**/', '');
  t.is(codeOf(DEFAULT, schema), 'none');
});

const when = (condition: string, scope = 'action'): string =>
  `permit (principal, ${scope}, resource) when { ${condition} };`;
const many = (count: number, text: string): Record<string, string> =>
  Object.fromEntries(numbers(count).map((i) => [`p${i}`, text]));

test('policies that would take too long to validate, or to decide by, are refused', (t) => {
  const sets = `[${numbers(600).map(() => '{a: context}').join()}].isEmpty()`;
  t.is(codeOf(many(1, when(sets))), 'none');
  t.is(codeOf(many(3, when(sets))), 'policy_bounds');
  const likes = numbers(14).map(() => `resource.key like "*${'a'.repeat(250)}b"`).join(' || ');
  const ofKeys = (count: number) => many(count, when(likes, 'action == Action::"kv.put/1"'));
  t.is(codeOf(ofKeys(1)), 'none');
  t.is(codeOf(ofKeys(2)), 'policy_bounds');
  t.is(codeOf(many(256, when('context.time_ms > 5'))), 'none');
});

test('in the log, a schema that stands for too much has its verdict, and nothing changes', (t) => {
  const bench = new PolicyBench(engine);
  const before = new Map(bench.rows.rows);
  const types = lines(20, (i) => `type T${i + 1} = {a: T${i}, b: T${i}};`);
  const text = `${bench.policy.baseSchema}\ntype T0 = {a: Long};\n${types}\nentity Zed {x: T20};`;
  t.is(bench.apply('policy.schema/1', { text }), 'policy_schema_invalid');
  t.deepEqual(bench.rows.rows, before);
  t.true(bench.may(OPERATOR, 'kv.put/1', { key: 'a' }).isAllowed);
});
