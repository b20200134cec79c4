import test from 'ava';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { readIdentity, trustDomainOf } from '#projections/identity.ts';
import { HandLedger, domain, genesis } from '#test/identity/ledger.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { ada, bob, put } from '#test/ledger/fold-support.ts';
import type { HandFold } from '#test/ledger/fold-support.ts';

/** Entries, authorities and federation as events: who may, what holds, and what is bounded. */

const [op, op2] = genesis.operators as [Id, Id];
const DAY_MS = 24 * 3_600_000;
let seq = 0;

const say = (actor: Id, kind: string, body: object) =>
  put(actor, ++seq, '', { kind: `identity.${kind}/1`, body: body as never });
const fresh = (): HandFold => new HandLedger().hand;
const view = (hand: HandFold) => {
  const found = readIdentity(hand.fold.reducer.rowsOf('identity'));
  if (!found) throw new Error('no identity');
  return found;
};

const entry = (id: string, changes: object = {}) => ({
  id,
  entry: { spiffeId: `spiffe://${domain}/${id}`, selectors: ['unix:uid:7'], ...changes },
});
const authority = (kid: string, changes: object = {}) => ({
  x509: Uint8Array.of(0x30, 1, 2),
  jwt: { kid, x: new Uint8Array(32).fill(1), y: new Uint8Array(32).fill(2) },
  notAfter_ms: CREATED_MS + DAY_MS,
  ...changes,
});

test('the trust domain follows from the name and the salt of the genesis', (t) => {
  t.is(view(fresh()).trustDomain, domain);
  const salt = Uint8Array.from({ length: 16 }, (_, i) => i);
  t.is(trustDomainOf({ name: 'My Net/1', salt }), 'my-net-1.0001020304050607');
  t.is(trustDomainOf({ name: '', salt }), 'x0t.0001020304050607');
});

test('an operator sets, replaces and removes entries', (t) => {
  const hand = fresh();
  const nodes = [bytesOf(ada)];
  t.deepEqual(
    hand.verdicts([
      say(op, 'entry', entry('db')),
      say(op2, 'entry', entry('web', { nodes, hint: 'h', x509Ttl_s: 120 })),
      say(op, 'entry', entry('db', { selectors: ['unix:gid:8'] })),
    ]),
    ['applied', 'applied', 'applied'],
  );
  const [db, web] = view(hand).entries;
  t.deepEqual(db?.selectors, [{ type: 'gid', value: 8 }]);
  t.like(web, { id: 'web', hint: 'h', x509Ttl_s: 120, nodes: [ada] });
  t.deepEqual(hand.verdicts([say(op, 'entry', { id: 'db' }), say(op, 'entry', { id: 'db' })]), [
    'applied',
    'identity_unknown',
  ]);
  t.deepEqual(view(hand).entries.map(({ id }) => id), ['web']);
});

test('entries, issuers and federation of anyone else are refused, and change nothing', (t) => {
  const hand = fresh();
  const bundle = new TextEncoder().encode('{"keys":[]}');
  t.deepEqual(
    hand.verdicts([
      say(ada, 'entry', entry('db')),
      say(ada, 'issuer', { actor: bytesOf(op), allowed: true }),
      say(bob, 'federation', { trustDomain: 'other.org', bundle }),
    ]),
    ['identity_not_permitted', 'identity_not_permitted', 'identity_not_permitted'],
  );
  t.deepEqual(view(hand), view(fresh()));
});

test('entries that do not hold are refused', (t) => {
  const wrong: readonly [object, string][] = [
    [entry('a', { spiffeId: `spiffe://${domain}/../a` }), 'identity_invalid'],
    [entry('a', { spiffeId: `spiffe://${domain}` }), 'identity_invalid'],
    [entry('a', { spiffeId: 'spiffe://other.org/a' }), 'identity_other_domain'],
    [entry('a', { spiffeId: `spiffe://${domain}.evil/a` }), 'identity_other_domain'],
    [entry('a', { selectors: ['unix:uid:x'] }), 'identity_invalid'],
    [entry('a', { selectors: [] }), 'bad_body'],
    [entry('a', { x509Ttl_s: 1 }), 'identity_invalid'],
    [entry('a', { more: 1 }), 'bad_body'],
    [entry('a/b'), 'bad_body'],
  ];
  const hand = fresh();
  const verdicts = hand.verdicts(wrong.map(([body]) => say(op, 'entry', body)));
  t.deepEqual(verdicts, wrong.map(([, verdict]) => verdict));
  t.deepEqual(view(hand).entries, []);
});

test('validators of the genesis publish authorities, others once an operator allows it', (t) => {
  const hand = fresh();
  t.deepEqual(
    hand.verdicts([
      say(ada, 'authority', authority('a1')),
      say(ada, 'authority', authority('a1')),
      say(op, 'authority', authority('o1')),
      say(op, 'issuer', { actor: bytesOf(op), allowed: true }),
      say(op, 'issuer', { actor: bytesOf(op), allowed: true }),
      say(op, 'authority', authority('o1')),
      say(bob, 'authority', authority('b1', { notAfter_ms: CREATED_MS })),
      say(bob, 'authority', authority('b1', { x509: new Uint8Array(5000) })),
    ]),
    [
      'applied', 'identity_known', 'identity_not_issuer', 'applied', 'identity_known', 'applied',
      'identity_invalid', 'bad_body',
    ],
  );
  t.deepEqual(view(hand).authorities.map(({ jwt }) => jwt.kid).toSorted(), ['a1', 'o1']);
});

test('who may not issue any more loses its authorities at once', (t) => {
  const hand = fresh();
  hand.verdicts([say(ada, 'authority', authority('a1'))]);
  const before = view(hand).sequence;
  t.deepEqual(hand.verdicts([say(op, 'issuer', { actor: bytesOf(ada), allowed: false })]), [
    'applied',
  ]);
  t.deepEqual(view(hand).authorities, []);
  t.true(view(hand).sequence > before);
  t.deepEqual(hand.verdicts([say(ada, 'authority', authority('a2'))]), ['identity_not_issuer']);
  const again = say(op, 'issuer', { actor: bytesOf(ada), allowed: false });
  t.deepEqual(hand.verdicts([again]), ['identity_unknown']);
});

test('an authority is revoked by its node or an operator, and the sequence grows', (t) => {
  const hand = fresh();
  hand.verdicts([say(ada, 'authority', authority('a1')), say(ada, 'authority', authority('a2'))]);
  const first = view(hand).sequence;
  const meant = (kid: string) => ({ actor: bytesOf(ada), kid });
  t.deepEqual(
    hand.verdicts([
      say(bob, 'revocation', meant('a1')),
      say(ada, 'revocation', meant('a1')),
      say(op, 'revocation', meant('a1')),
      say(op, 'revocation', meant('a2')),
    ]),
    ['identity_not_permitted', 'applied', 'identity_unknown', 'applied'],
  );
  t.deepEqual(view(hand).authorities, []);
  t.true(view(hand).sequence > first);
});

test('a node has at most four authorities; those that have ended go first', (t) => {
  const hand = fresh();
  const short = authority('short', { notAfter_ms: CREATED_MS + 1000 });
  hand.verdicts([say(ada, 'authority', authority('a1')), say(ada, 'authority', short)]);
  hand.verdicts(
    ['a2', 'a3', 'a4'].map((kid) => say(ada, 'authority', authority(kid))),
    CREATED_MS + 2000,
  );
  const kids = (): string[] => view(hand).authorities.map(({ jwt }) => jwt.kid);
  t.deepEqual(kids(), ['a1', 'a2', 'a3', 'a4']);
  hand.verdicts([say(ada, 'authority', authority('a5'))], CREATED_MS + 3000);
  t.deepEqual(kids(), ['a2', 'a3', 'a4', 'a5']);
});

test('an authority counts for 30 days at most', (t) => {
  const hand = fresh();
  const ts_ms = CREATED_MS + 5;
  hand.verdicts([say(ada, 'authority', authority('a1', { notAfter_ms: 2 ** 47 }))], ts_ms);
  t.is(view(hand).authorities[0]?.notAfter_ms, ts_ms + 30 * DAY_MS);
});

test('an operator federates with other trust domains, and ends it', (t) => {
  const hand = fresh();
  const bundle = new TextEncoder().encode('{"keys":[]}');
  const federate = (trustDomain: string, more: object = { bundle }) =>
    say(op, 'federation', { trustDomain, ...more });
  t.deepEqual(
    hand.verdicts([
      federate('other.org'),
      federate('Other.org'),
      federate('spiffe://third.org'),
      federate(domain),
      federate('gone.org', {}),
      federate('big.org', { bundle: new Uint8Array(60 * 1024 + 1) }),
    ]),
    [
      'applied', 'identity_invalid', 'identity_invalid', 'identity_other_domain',
      'identity_unknown', 'bad_body',
    ],
  );
  t.deepEqual(view(hand).federations.map(({ trustDomain }) => trustDomain), ['other.org']);
  t.deepEqual(hand.verdicts([federate('other.org', {})]), ['applied']);
  t.deepEqual(view(hand).federations, []);
});

test('foreign trust domains are bounded', (t) => {
  const hand = fresh();
  const bundle = new TextEncoder().encode('{"keys":[]}');
  const many = Array.from({ length: 65 }, (_, i) =>
    say(op, 'federation', { trustDomain: `d${i}.org`, bundle }),
  );
  const verdicts = hand.verdicts(many);
  t.is(verdicts.filter((verdict) => verdict === 'applied').length, 64);
  t.is(verdicts.at(-1), 'identity_bounds');
});

test('a network without this projection has no identities', (t) => {
  t.is(readIdentity({ get: () => undefined }), undefined);
});
