import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { serialiseBundle } from '#node/identity/bundle.ts';
import { BundleFile, readTrustBundle } from '#node/identity/trust-bundle.ts';
import { codeIn } from '#test/support/codes.ts';
import { craftCa } from './craft.ts';
import type { Crafted } from './craft.ts';

/** Bundles that somebody gives to say whom to believe. */

const root = await craftCa();
const next = await craftCa();
const foreign = await craftCa({ uris: ['spiffe://other.example'] });
const nameless = await craftCa({ uris: [] });

const documentOf = (...authorities: readonly Crafted[]): string =>
  serialiseBundle({
    trustDomain: '',
    x509: authorities.map(({ certificate }) => certificate),
    jwt: [],
    sequence: 1n,
    refreshHint_s: 60,
  });
const read = (text: string, named?: string) => readTrustBundle(Buffer.from(text), named);

test('the trust domain is the one that the authorities name, all of them the same', (t) => {
  t.is(read(documentOf(root, next)).trustDomain, 'example.org');
  t.is(read(documentOf(root, nameless)).x509.length, 2);
  t.is(codeIn(() => read(documentOf(root, foreign))), 'bundle_domain_unknown');
  t.is(codeIn(() => read(documentOf(nameless))), 'bundle_domain_unknown');
  t.is(codeIn(() => read(documentOf())), 'bundle_domain_unknown');
  t.is(codeIn(() => read('[]')), 'bundle_invalid');
});

test('where it is named, authorities of another one are refused', (t) => {
  t.is(read(documentOf(nameless), 'example.org').trustDomain, 'example.org');
  t.is(read(documentOf(root), 'example.org').trustDomain, 'example.org');
  t.is(read(documentOf(), 'example.org').x509.length, 0, 'nothing is believed');
  for (const authorities of [[foreign], [root, foreign]]) {
    const code = codeIn(() => read(documentOf(...authorities), 'example.org'));
    t.is(code, 'bundle_other_domain');
  }
});

test('a file is read again when it has changed, and nothing is believed without it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'x0t-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'bundle.json');
  writeFileSync(file, documentOf(root));
  const held = new BundleFile(file, undefined);
  const first = held.x509AuthoritiesOf('example.org');
  t.is(first?.length, 1);
  t.is(held.x509AuthoritiesOf('example.org'), first, 'the same while nothing has changed');
  t.is(held.x509AuthoritiesOf('example.org.evil'), undefined);
  writeFileSync(file, documentOf(root, next));
  utimesSync(file, 1, 1);
  t.is(held.x509AuthoritiesOf('example.org')?.length, 2);
  writeFileSync(file, documentOf(foreign));
  utimesSync(file, 2, 2);
  t.is(held.x509AuthoritiesOf('example.org'), undefined);
  rmSync(file);
  t.is(codeIn(() => held.x509AuthoritiesOf('example.org')), 'file_unreadable');
});
