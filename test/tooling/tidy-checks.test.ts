import test from 'ava';
import { blankComments, importsOf } from './source-text.ts';
import {
  checkBanned, checkImports, checkMarkdown, checkShape, checkUnfinished,
} from './tidy-checks.ts';

const from = (specifier: string, names = '{ x }'): string => `import ${names} from '${specifier}';`;

/** File, import, and a part of the objection; none where the import is right. */
const IMPORTS: readonly (readonly [string, string, string?])[] = [
  ['ledger/a.ts', from('./b.ts')],
  ['ledger/a.ts', from('@ipld/dag-cbor', '* as cbor')],
  ['ledger/a.ts', from('multiformats/cid')],
  ['ledger/a.ts', from('node:crypto', '{ hash }')],
  ['ledger/a.ts', from('node:crypto', '{ hash, randomBytes }'), 'not randomBytes'],
  ['ledger/a.ts', from('node:crypto', '* as crypto'), 'not *'],
  ['ledger/a.ts', "await import('node:crypto');", 'not the whole module'],
  ['ledger/a.ts', from('node:fs'), "may not import 'node:fs'"],
  ['ledger/a.ts', from('multiformats-other'), 'may not import'],
  ['ledger/a.ts', from('#p2p/b.ts'), 'ledger/ may not import p2p/'],
  ['ledger/a.ts', from('./b'), 'ending'],
  ['ledger/a.ts', from('#ledger/b.ts'), "write './b.ts'"],
  ['ledger/sync/a.ts', from('#ledger/b.ts')],
  ['ledger/sync/a.ts', from('../b.ts'), "write '#ledger/b.ts'"],
  ['ledger/a.ts', from('./sync/b.ts'), "write '#ledger/sync/b.ts'"],
  ['p2p/a.ts', from('../ledger/b.ts'), "write '#ledger/b.ts'"],
  ['p2p/a.ts', from('#native/b.ts'), 'p2p/ may not import native/'],
  ['p2p/a.ts', from('libp2p')],
  ['native/a.ts', from('#ledger/ports.ts')],
  ['native/a.ts', from('#ledger/codec.ts'), 'only ports.ts, errors.ts, limits.ts of ledger/'],
  ['native/a.ts', from('#p2p/b.ts'), 'native/ may not import p2p/'],
  ['projections/a.ts', from('#governance/b.ts'), 'projections/ may not import governance/'],
  ['governance/a.ts', from('#ledger/b.ts')],
  ['governance/a.ts', from('#node/b.ts'), 'governance/ may not import node/'],
  ['node/a.ts', from('#native/b.ts')],
  ['node/a.ts', from('#test/b.ts'), 'node/ may not import test/'],
  ['node/a.ts', "export { x } from '#bench/b.ts';", 'node/ may not import bench/'],
  ['node/a.ts', "import '#test/b.ts';", 'node/ may not import test/'],
  ['deploy/a.ts', from('#ledger/b.ts'), 'deploy/ may not import ledger/'],
  ['test/a.test.ts', from('#node/b.ts')],
];

for (const [file, code, objection] of IMPORTS) {
  test(`${file}: ${code} ${objection === undefined ? 'is right' : 'is refused'}`, (t) => {
    const messages = checkImports(file, code).map(({ message }) => message);
    t.is(messages.length, objection === undefined ? 0 : 1, messages.join());
    t.true(messages.join().includes(objection ?? ''), messages.join());
  });
}

const BANNED: readonly (readonly [string, string, boolean])[] = [
  ['ledger/a.ts', 'const now = Date.now();', true],
  ['ledger/a.ts', 'const now = new Date();', true],
  ['ledger/a.ts', 'const day = new Date(time_ms);', false],
  ['projections/a.ts', 'const x = Math.random();', true],
  ['governance/a.ts', 'setTimeout(fire, 1);', true],
  ['governance/a.ts', 'setInterval(fire, 1);', true],
  ['ledger/a.ts', 'performance.now();', true],
  ['ledger/a.ts', 'process.exit(1);', true],
  ['ledger/a.ts', 'this.process.next();', false],
  ['ledger/a.ts', '// never Date.now() here', false],
  ['p2p/a.ts', 'Date.now();', false],
  ['p2p/a.ts', "const x = process.env['X'];", true],
  ['native/a.ts', "import { env } from 'node:process';", true],
  ['node/a.ts', "const x = process.env['X'];", false],
];

for (const [file, code, refused] of BANNED) {
  test(`${file}: ${code} ${refused ? 'is refused' : 'is right'}`, (t) => {
    t.is(checkBanned(file, code).length, refused ? 1 : 0);
  });
}

test('a finding names the line of the import', (t) => {
  const text = `/*\n ${from('#p2p/no.ts')}\n*/\nimport {\n  x,\n} from '#p2p/b.ts';\n`;
  t.deepEqual(checkImports('ledger/a.ts', text).map(({ line }) => line), [4]);
});

test('quotes, templates and regular expressions do not hide code', (t) => {
  const text = "const a = /'/; const b = `//`; const c = '/*'; import d from './d.ts'; // './e.ts'";
  t.deepEqual(importsOf(text).map(({ specifier }) => specifier), ['./d.ts']);
  t.is(blankComments(text).length, text.length);
});

test('500 lines and 100 columns are the limit', (t) => {
  t.is(checkShape('a.ts', 'x\n'.repeat(500)).length, 0);
  t.deepEqual(checkShape('a.ts', 'x\n'.repeat(501)).map(({ line }) => line), [501]);
  t.is(checkShape('a.ts', 'x'.repeat(100)).length, 0);
  t.deepEqual(checkShape('a.ts', `\n${'x'.repeat(101)}`).map(({ line }) => line), [2]);
});

test('marks of unfinished work are found as whole words', (t) => {
  for (const mark of [['TO', 'DO'], ['FIX', 'ME'], ['X', 'XX'], ['HA', 'CK']]) {
    t.is(checkUnfinished('a.ts', `// ${mark.join('')}: later`).length, 1);
    t.is(checkUnfinished('a.ts', `const x${mark.join('')}S = 1;`).length, 0);
  }
});

test('one H1, not counting fenced blocks', (t) => {
  t.is(checkMarkdown('a.md', '# A\n\n## B\n\n```sh\n# comment\n```\n').length, 0);
  t.is(checkMarkdown('a.md', '## B\n').length, 1);
  t.deepEqual(checkMarkdown('a.md', '# A\n\n# B\n').map(({ line }) => line), [3]);
});
