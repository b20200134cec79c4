import test from 'ava';
import { Addresses } from '#p2p/addresses.ts';

/** Where a peer is: what it says later counts, and what the ledger says stands. */

const at = (i: number): string => `/ip4/192.0.2.${i}/tcp/4101/p2p/peer`;
const many = Array.from({ length: 8 }, (_, i) => at(100 + i));

test('a peer that moves is found where it says, although its row is full', (t) => {
  const addresses = new Addresses();
  addresses.add('peer', many, 'admitted', 0);
  addresses.add('peer', [at(1)], 'admitted', 0);
  const row = addresses.get('peer')?.addrs ?? [];
  t.true(row.includes(at(1)));
  t.is(row.length, 8);
  t.is(row[0], many[0], 'what worked stays first');
});

test('what the ledger says takes the place of what it said before', (t) => {
  const addresses = new Addresses();
  addresses.tell('peer', [at(1), at(2)], true, 0);
  addresses.add('peer', many, 'admitted', 0);
  const target = addresses.get('peer');
  if (!target) throw new Error('no row');
  t.deepEqual(target.addrs.slice(0, 2), [at(1), at(2)]);
  Object.assign(target, { failures: 5, next_ms: 1_000_000 });
  addresses.tell('peer', [at(2), at(3)], true, 7);
  t.false(target.addrs.includes(at(1)));
  t.deepEqual(target.addrs.slice(0, 2), [at(2), at(3)]);
  t.deepEqual([target.failures, target.next_ms], [0, 7], 'dialled at once');
  Object.assign(target, { failures: 5, next_ms: 1_000_000 });
  addresses.tell('peer', [at(2), at(3)], true, 8);
  t.is(target.failures, 5, 'nothing new');
  t.is(target.origin, 'bootstrap');
});

test('what was named stays, whatever the ledger and the peer say', (t) => {
  const addresses = new Addresses();
  addresses.add('peer', [at(9)], 'bootstrap', 0);
  addresses.tell('peer', [at(9), at(1)], true, 0);
  addresses.tell('peer', [at(2)], true, 0);
  addresses.add('peer', many, 'admitted', 0);
  t.deepEqual(addresses.get('peer')?.addrs.slice(0, 2), [at(9), at(2)]);
});

test('of an observer only who knows it takes notice', (t) => {
  const addresses = new Addresses();
  addresses.tell('peer', [at(1)], false, 0);
  t.is(addresses.get('peer'), undefined);
  addresses.add('peer', many, 'admitted', 0);
  addresses.tell('peer', [at(1)], false, 0);
  t.true(addresses.get('peer')?.addrs.includes(at(1)));
  t.is(addresses.get('peer')?.origin, 'admitted');
});
