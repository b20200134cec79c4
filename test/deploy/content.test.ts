import { join } from 'node:path';
import test from 'ava';
import { contentFiles, contentTag } from '#deploy/image/content.ts';
import { ALLOWED, isAllowed } from '#deploy/image/licences.ts';
import { findSecrets } from '#deploy/image/secrets.ts';

/** What an image's tag follows from, and what may go into an image. */

const ROOT = join(import.meta.dirname, '..', '..');
const BASE = `node@sha256:${'a'.repeat(64)}`;
const files = contentFiles(ROOT);
const tag = contentTag(ROOT, files, BASE);

test('the tag is the same for the same content', (t) => {
  t.regex(tag, /^[0-9a-f]{16}$/);
  t.is(contentTag(ROOT, contentFiles(ROOT), BASE), tag);
});

test('any byte, any mode, any name, any file and the base change it', (t) => {
  const [first, ...rest] = files as [(typeof files)[number]];
  const changed = Buffer.concat([first.bytes, Buffer.from(' ')]);
  const others = [
    [{ ...first, bytes: changed }, ...rest],
    [{ ...first, isExecutable: !first.isExecutable }, ...rest],
    [{ ...first, path: `${first.path}.old` }, ...rest],
    rest,
  ].map((some) => contentTag(ROOT, some, BASE));
  const base = contentTag(ROOT, files, `node@sha256:${'b'.repeat(64)}`);
  t.is(new Set([tag, base, ...others]).size, 6);
});

test('the base is named with its digest', (t) => {
  for (const base of ['node:26-slim', 'node@sha256:abc', `${BASE}0`]) {
    t.throws(() => contentTag(ROOT, files, base), { message: /digest/ });
  }
  t.is(contentTag(ROOT, files, `other:name@sha256:${'a'.repeat(64)}`), tag, 'its name is no input');
});

test('the image holds the program and nothing of its tests', (t) => {
  const paths = files.map(({ path }) => path);
  for (const path of ['node/cli/main.ts', 'package-lock.json', 'LICENSE', 'deploy/health.js']) {
    t.true(paths.includes(path), path);
  }
  const odd = paths.filter((path) => /(^|\/)(test|bench|docs|node_modules|\.git)\//.test(path));
  t.deepEqual(odd, []);
});

test('licences are judged as SPDX expressions', (t) => {
  const good = ['MIT', 'Apache-2.0 OR GPL-3.0-only', '(MIT AND (ISC OR X-1)) OR X-2'];
  const bad = ['', 'GPL-3.0-only', 'MIT AND GPL-3.0-only', '(MIT', 'MIT ISC', 'X OR Y', 'MIT OR'];
  for (const one of good) t.true(isAllowed(one), one);
  for (const one of bad) t.false(isAllowed(one), one);
  for (const one of ALLOWED) t.true(isAllowed(one));
});

test('secrets are found, and the project has none', (t) => {
  const base64 = 'MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v2VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g';
  const texts = {
    'a.ts': `x\n-----BEGIN PRIVATE KEY-----\n${base64}\n`,
    'b.ts': `const token = 'ghp_${'a1B2'.repeat(9)}';`,
    'c.json': `"id": "AKIA${'A1B2'.repeat(4)}"`,
    'd.md': `https://user:${'password'.repeat(1)}@example.org`,
    'e.key': 'anything',
    'f/.env': 'A=1',
  };
  const samples = Object.entries(texts).map(([path, text]) => ({ path, bytes: Buffer.from(text) }));
  t.deepEqual(findSecrets(samples).map(({ path }) => path), Object.keys(texts));
  t.is(findSecrets(samples)[0]?.line, 2);
  t.deepEqual(findSecrets(files), []);
});
