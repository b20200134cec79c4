import * as fc from 'fast-check';
import test from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { readSignatureInput } from '#node/auth/request-signature.ts';
import { isLocal, isLoopbackAddress, targetOf } from '#node/auth/request-target.ts';
import { networkOf } from '#ledger/token-buckets.ts';
import { incoming } from './signed-request.ts';

/** Whatever comes in, one spelling is taken, and nothing breaks. */

const RUNS = { numRuns: 2000 };
const actor = 'a'.repeat(64);
const own = { actor, names: ['node.test'], listeners: [{ host: '192.0.2.1', port: 8420 }] };
const part = fc.oneof(
  fc.constantFrom('/', '..', '.', '%2e', '%2E%2e', '//', '\\', '?', '#', ';', '%', '%zz', '@'),
  fc.constantFrom('v1', 'kv', 'http://node.test:8420', '\t', ' ', '[', ']', '\u00e9', '\u0000'),
  fc.string({ maxLength: 4 }),
);
const target = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
const sent = (host: string) => ({ method: 'GET', url: 'http://x/', headers: { host } });

test('a target that is taken is the one that a URL has, at a name of this node', (t) => {
  const taken: string[] = [];
  const host = fc.oneof(fc.constant('node.test:8420'), target);
  fc.assert(
    fc.property(host, fc.oneof(target, target.map((one) => `/${one}`)), (name, url) => {
      try {
        const found = new URL(targetOf(incoming(sent(name), { url }), own));
        taken.push(url);
        return found.host === 'node.test:8420' && found.pathname + found.search === url;
      } catch (error) {
        return error instanceof X0tError;
      }
    }),
    RUNS,
  );
  t.true(taken.length > 0);
});

test('what is no Signature-Input is malformed, and nothing worse', (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom('sig', '=', '(', ')', '"@method"', ' ', ';', 'created', '1', '"'))
      .map((parts) => parts.join('')),
  );
  const outcomes = new Set<string>();
  fc.assert(
    fc.property(text, text, (input, signature) => {
      try {
        readSignatureInput(input, signature);
        return false;
      } catch (error) {
        outcomes.add((error as X0tError).code);
        return true;
      }
    }),
    RUNS,
  );
  t.deepEqual([...outcomes], ['signature_malformed']);
});

test('only loopback addresses are of this machine', (t) => {
  for (const one of ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1']) {
    t.true(isLoopbackAddress(one), one);
  }
  const others = ['', '128.0.0.1', '0.0.0.0', '::', '::ffff:10.0.0.1', '1127.0.0.1', 'fe80::1'];
  for (const one of others) {
    t.false(isLoopbackAddress(one), one);
  }
  t.false(isLoopbackAddress(undefined));
  const local = (host: string, change: Parameters<typeof incoming>[1] = {}) =>
    isLocal(incoming(sent(host), { remoteAddress: '127.0.0.1', ...change }));
  t.true(local('localhost:8420'));
  t.false(local('localhost:8420', { remoteAddress: '192.0.2.1' }));
  t.false(local('localhost', { rawHeaders: ['host', 'evil.example'] }), 'two hosts');
  for (const host of ['', 'LOCALHOST', 'localhost.', 'evil.example', 'localhost@evil', '127.1']) {
    t.false(local(host), host);
  }
});

test('addresses of one IPv6 network count as one, others do not', (t) => {
  t.is(networkOf('2001:db8::1'), networkOf('2001:db8:0:0:ffff::2'));
  t.not(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::1'));
  for (const here of ['::1', '127.0.0.1', '127.9.9.9', '::ffff:127.0.0.2']) {
    t.is(networkOf(here), 'loopback');
  }
  t.is(networkOf('::ffff:192.0.2.1'), networkOf('192.0.2.1'));
  t.is(networkOf('fe80::1%eth0'), networkOf('fe80::2'));
  t.is(networkOf('192.0.2.1'), '192.0.2.1');
  t.not(networkOf('::ffff:192.0.2.1'), networkOf('::ffff:192.0.2.2'));
  t.is(networkOf(undefined), '');
});
