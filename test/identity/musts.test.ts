import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

/** The table of docs/identity.md: every rule names files that exist and a test that exists. */

const ROOT = join(import.meta.dirname, '..', '..');
const ROW = /^\| (?<rule>.+?) \| (?<where>`.+?) \| `(?<file>[\w/.-]+)`: (?<title>.+?) \|$/gm;
const text = readFileSync(join(ROOT, 'docs', 'identity.md'), 'utf8');
const start = text.indexOf('## The rules and their tests');
const rows = [...text.slice(start).matchAll(ROW)].map(({ groups = {} }) => groups);

test('every row of the table is read', (t) => {
  const lines = text.slice(start).split('\n').filter((line) => /^\| (?!rule )/.test(line));
  t.is(rows.length, lines.length);
  t.true(rows.length > 80);
});

test('every rule has a test of that title', (t) => {
  const missing = rows.filter(({ file = '', title = '' }) => {
    const path = join(ROOT, file.includes('/') ? file : join('test', 'identity', file));
    return !existsSync(path) || !readFileSync(path, 'utf8').includes(`'${title}'`);
  });
  t.deepEqual(missing.map(({ file, title }) => `${file}: ${title}`), []);
});

test('every rule is where the table says', (t) => {
  const files = rows.flatMap(({ where = '' }) => {
    let folder = '';
    return [...where.matchAll(/`([\w/.-]+\.ts)`/g)].map(([, path = '']) => {
      if (path.includes('/')) folder = path.slice(0, path.lastIndexOf('/'));
      return path.includes('/') ? path : `${folder}/${path}`;
    });
  });
  t.true(files.length >= rows.length);
  t.deepEqual(files.filter((file) => !existsSync(join(ROOT, file))), []);
});
