import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '..', '..');

test('docs/dependencies.md says of every package in which version and why it is there', (t) => {
  const text = readFileSync(join(ROOT, 'docs', 'dependencies.md'), 'utf8');
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    'dependencies' | 'devDependencies' | 'optionalDependencies',
    Readonly<Record<string, string>>
  >;
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
  t.true(Object.keys(all).length > 40);
  const rows = text.split('\n').filter((line) => line.startsWith('|'));
  for (const [name, version] of Object.entries(all)) {
    const isNamed = rows.some((row) => row.includes(`\`${name}\``) && row.includes(version));
    t.true(isNamed, `${name} ${version}`);
  }
});
