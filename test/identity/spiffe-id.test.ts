import test from 'ava';
import * as fc from 'fast-check';
import { parseSpiffeId, parseTrustDomain, spiffeIdOf } from '#projections/spiffe-id.ts';
import { refusalIn } from './rules.ts';

/** SPIFFE-ID, section 2; one test for each rule. */

const refused = (uri: string): string => refusalIn(() => parseSpiffeId(uri));
const rule = (name: string): string => `spiffe_id_invalid: ${name}`;

test('2: the scheme is spiffe', (t) => {
  for (const uri of ['http://example.org/a', 'spiffe:/example.org', 'SPIFFE://example.org', '']) {
    t.is(refused(uri), rule('scheme'), uri);
  }
  t.is(refused('spiffe://example.org/a'), 'taken');
});

test('2: the trust domain is not empty', (t) => {
  t.is(refused('spiffe://'), rule('trust_domain_empty'));
  t.is(refused('spiffe:///path'), rule('trust_domain_empty'));
});

test('2: there is no query and no fragment', (t) => {
  t.is(refused('spiffe://example.org/a?b=c'), rule('path_characters'));
  t.is(refused('spiffe://example.org/a#b'), rule('path_characters'));
  t.is(refused('spiffe://example.org?b'), rule('trust_domain_characters'));
  t.is(refused('spiffe://example.org#b'), rule('trust_domain_characters'));
});

test('2.1: there is no user and no port', (t) => {
  for (const host of ['user@example.org', 'user:secret@example.org', 'example.org:443', ':443']) {
    t.is(refused(`spiffe://${host}/a`), rule('trust_domain_characters'), host);
  }
});

test('2.1: the trust domain is lower-case', (t) => {
  t.is(refused('spiffe://Example.org/a'), rule('trust_domain_characters'));
});

test('2.1: the trust domain holds only a-z, 0-9, dot, dash and underscore', (t) => {
  t.is(parseSpiffeId('spiffe://a-b_c.9/x').trustDomain, 'a-b_c.9');
  for (const name of ['exämple', 'a b', 'a*', '[::1]', 'a,b', 'a\n', 'a\0']) {
    t.is(refused(`spiffe://${name}/x`), rule('trust_domain_characters'), name);
  }
});

test('2.1: the trust domain has no percent-encoded characters', (t) => {
  t.is(refused('spiffe://example%2eorg/a'), rule('trust_domain_characters'));
});

test('2.1: an IPv4 address and no DNS name are names as any other', (t) => {
  t.is(parseSpiffeId('spiffe://10.0.0.1/a').trustDomain, '10.0.0.1');
  t.is(parseSpiffeId('spiffe://-._/a').trustDomain, '-._');
});

test('2.2: the path has no percent-encoded characters', (t) => {
  t.is(refused('spiffe://example.org/%2e%2e/a'), rule('path_characters'));
});

test('2.2: the path has no empty and no relative segments', (t) => {
  t.is(refused('spiffe://example.org//a'), rule('empty_segment'));
  t.is(refused('spiffe://example.org/a//b'), rule('empty_segment'));
  for (const path of ['/.', '/..', '/a/../b', '/a/./b', '/a/..']) {
    t.is(refused(`spiffe://example.org${path}`), rule('dot_segment'), path);
  }
  t.is(parseSpiffeId('spiffe://example.org/.../.a').path, '/.../.a');
});

test('2.2: the path has no trailing slash', (t) => {
  t.is(refused('spiffe://example.org/'), rule('trailing_slash'));
  t.is(refused('spiffe://example.org/a/'), rule('trailing_slash'));
});

test('2.2: segments hold only letters, digits, dot, dash and underscore', (t) => {
  t.is(parseSpiffeId('spiffe://example.org/A-z_0.9/b').path, '/A-z_0.9/b');
  for (const segment of ['a*', 'a b', 'ä', 'a:b', 'a@b', 'a+b', 'a\\b', 'a\0']) {
    t.is(refused(`spiffe://example.org/${segment}`), rule('path_characters'), segment);
  }
});

test('2.3: IDs of up to 2048 bytes are taken, longer ones are not made', (t) => {
  const head = 'spiffe://example.org/';
  t.is(refused(head + 'a'.repeat(2048 - head.length)), 'taken');
  t.is(refused(head + 'a'.repeat(2049 - head.length)), rule('length'));
  t.is(refusalIn(() => spiffeIdOf('example.org', `/${'a'.repeat(2048)}`)), rule('length'));
});

test('2.3: a trust domain has at most 255 bytes', (t) => {
  t.is(refused(`spiffe://${'a'.repeat(255)}/x`), 'taken');
  t.is(refused(`spiffe://${'a'.repeat(256)}/x`), rule('trust_domain_length'));
});

test('2.4: the path is case-sensitive, and IDs are the same only when their texts are', (t) => {
  t.not(parseSpiffeId('spiffe://example.org/A').uri, parseSpiffeId('spiffe://example.org/a').uri);
});

test('a trust domain is its name or its ID, and has no path', (t) => {
  t.is(parseTrustDomain('example.org').uri, 'spiffe://example.org');
  t.is(parseTrustDomain('spiffe://example.org').trustDomain, 'example.org');
  t.is(refusalIn(() => parseTrustDomain('spiffe://example.org/a')), rule('path'));
  t.is(refusalIn(() => parseTrustDomain('example.org/a')), rule('scheme'));
});

test('any text is taken or refused by a rule, and what is taken is made of its parts', (t) => {
  const texts = fc.oneof(fc.string(), fc.string().map((text) => `spiffe://${text}`));
  fc.assert(
    fc.property(texts, (text) => {
      const outcome = refused(text);
      if (outcome !== 'taken') return outcome.startsWith('spiffe_id_invalid: ');
      const { uri, trustDomain, path } = parseSpiffeId(text);
      return uri === text && uri === `spiffe://${trustDomain}${path}`;
    }),
  );
  t.pass();
});
