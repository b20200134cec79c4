import test from 'ava';
import { Committee } from '#ledger/committee.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { COMMITTEE_MAX } from '#ledger/limits.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { listMembers, readMember } from '#projections/index.ts';
import { HandFold, ada, bob, net, put } from '#test/ledger/fold-support.ts';
import { newcomer } from '#test/support/epochs.ts';

/** Who may change the committee, within which bounds, and that a change is whole or nothing. */

const operator = net.operators[0]?.actor ?? '';
const hex = (actor: string): Uint8Array => Uint8Array.fromHex(actor);
const join = (i: number, peer = `new-${i}`) => ({ key: newcomer(i).coseKey, peer, stake: 1 });
let seq = 100;
const changeBy = (actor: string, body: Body): Entry =>
  put(actor, (seq += 1), '', { kind: 'committee.change/1', body });
const change = (body: Body): Entry => changeBy(operator, body);
const leave = (actor: string): Entry =>
  put(actor, (seq += 1), '', { kind: 'committee.leave/1', body: {} });

function verdicts(hand: HandFold, entries: readonly Entry[]): string[] {
  return hand.apply([entries]).map(({ verdict }) => verdictName(verdict));
}

const seatsOf = (hand: HandFold) => hand.fold.seats.validators.map(({ actor }) => actor);

test('a change ends the epoch with its commit, and is the next committee', async (t) => {
  const hand = new HandFold();
  t.deepEqual(hand.fold.seats, { epoch: 0, validators: net.chain.committee.validators });
  t.deepEqual(verdicts(hand, [change({ add: [join(0)], remove: [hex(ada)] })]), ['applied']);
  const { epoch, validators } = hand.fold.seats;
  t.is(epoch, 1);
  t.deepEqual(validators.map(({ actor, peer }) => [actor, peer]), [
    [bob, 'peer-1'],
    [newcomer(0).actor, 'new-0'],
  ]);
  await hand.write();
  t.deepEqual(hand.restarted().fold.seats, hand.fold.seats);
  const rows = hand.fold.reducer.rowsOf('members');
  t.deepEqual(readMember(rows, ada), { actor: ada, roles: [], peer: 'peer-0' });
  t.is(listMembers(rows).length, 5);
  t.deepEqual(verdicts(hand, [put(ada, 1, 'still counts')]), ['applied']);
});

test('the changes of one commit are one set; what is refused takes no part', (t) => {
  const hand = new HandFold();
  const entries = [
    changeBy(ada, { remove: [hex(bob)] }),
    change({ add: [join(1)] }),
    change({ add: [join(1, 'other')] }),
    change({ add: [join(2, 'new-1')] }),
    change({ add: [join(2, 'peer-0')] }),
    change({ remove: [hex(newcomer(3).actor)] }),
    change({ remove: [hex(ada), hex(ada)] }),
    leave(bob),
    leave(bob),
    change({ remove: [hex(newcomer(1).actor)] }),
    change({ remove: [hex(ada)] }),
    // a peer id stays its member's, also without the seat
    change({ add: [join(2, 'peer-0')], remove: [hex(ada)] }),
    change({ add: [join(2)], remove: [hex(ada)] }),
  ];
  t.deepEqual(verdicts(hand, entries), [
    'not_operator',
    'applied',
    'member_known',
    'peer_taken',
    'peer_taken',
    'not_validator',
    'not_validator',
    'applied',
    'not_validator',
    'applied',
    'committee_bounds',
    'peer_taken',
    'applied',
  ]);
  t.is(hand.fold.seats.epoch, 1);
  t.deepEqual(seatsOf(hand), [newcomer(2).actor]);
});

test('a refused change ends no epoch and leaves no trace', (t) => {
  const hand = new HandFold();
  const root = () => hand.fold.summary().projections.find(({ name }) => name === 'members')?.root;
  const before = root();
  const refused = [
    leave(operator),
    change({ remove: [hex(ada), hex(bob)] }),
    // the second part fails: the first one does not happen
    change({ add: [join(4), join(5, 'new-4')] }),
    change({}),
    change({ add: [] }),
    change({ add: [{ ...join(6), stake: 2 }] }),
    change({ add: [{ ...join(6), key: join(6).key.subarray(1) }] }),
    change({ add: [{ ...join(6), more: 1 }] }),
  ];
  t.deepEqual(verdicts(hand, refused), [
    'not_validator',
    'committee_bounds',
    'peer_taken',
    'bad_body',
    'bad_body',
    'bad_body',
    'bad_body',
    'bad_body',
  ]);
  t.is(hand.fold.seats.epoch, 0);
  t.is(root(), before);
});

test('a member gets a seat as the ledger has it: by its actor, with its pair', (t) => {
  const hand = new HandFold();
  t.deepEqual(verdicts(hand, [change({ remove: [hex(ada)] })]), ['applied']);
  const key = net.validators[0]?.coseKey as Uint8Array;
  const addrs = ['/ip4/192.0.2.1/tcp/4001'];
  const named = { actor: hex(ada) };
  const entries = [
    change({ add: [{ key, peer: 'elsewhere', stake: 1, addrs }] }),
    change({ add: [{ actor: hex(newcomer(7).actor) }] }),
    change({ add: [{ actor: hex(operator) }] }),
    change({ add: [{ ...named, peer: 'elsewhere' }] }),
    change({ add: [named, named] }),
    change({ add: [named] }),
    change({ add: [named] }),
  ];
  t.deepEqual(verdicts(hand, entries), [
    'member_known',
    'member_unknown',
    'member_roles',
    'bad_body',
    'already_validator',
    'applied',
    'already_validator',
  ]);
  t.deepEqual(seatsOf(hand), [bob, ada]);
  const member = readMember(hand.fold.reducer.rowsOf('members'), ada);
  t.like(member, { author: 1, peer: 'peer-0' });
  t.is(member?.addrs, undefined);
});

test('a committee has at most 128 validators', (t) => {
  const validators = Array.from({ length: COMMITTEE_MAX + 1 }, (_, i) => ({
    ...(net.chain.committee.validators[0] as Committee['validators'][number]),
    actor: i.toString(16).padStart(64, '0'),
  }));
  t.throws(() => new Committee(1, validators));
  t.notThrows(() => new Committee(1, validators.slice(1)));
});
