import test from 'ava';
import { COSE_KEY_BYTES, sign1Of } from '#ledger/cose.ts';
import type { Body, Entry, Event } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import { SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import { sealBlock } from '#ledger/block.ts';
import { EVIDENCE_KIND, evidenceBody } from '#ledger/evidence.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { ACCUSES_MS, KEYS_MAX } from '#projections/member-keys.ts';
import { listMembers, readMember } from '#projections/index.ts';
import { HandFold, ada, bob, net, put } from '#test/ledger/fold-support.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

/** What the final order of rotations, revocations and new keys makes of who signs for whom. */

const operator = net.operators[0]?.actor as Id;
const other = net.operators[1]?.actor as Id;
// a fold looks at no signature
const proof = sign1Of(new Uint8Array(SIGNATURE_BYTES));
const key = (name: string) => seededActor(`key ${name}`);
const rotate = (actor: Id, seq: number, to: string, signing?: Id): Entry =>
  put(actor, seq, '', {
    kind: 'member.rotate/1',
    body: { key: key(to).coseKey, proof },
    ...(signing !== undefined && { key: signing }),
  });
const by = (actor: Id, seq: number, kind: string, body: Body, more: Partial<Event> = {}): Entry =>
  put(actor, seq, '', { kind, body, ...more });
const revoke = (author: Id, seq: number, of: Id, id: Id, signing?: Id): Entry =>
  by(
    author, seq, 'member.revoke/1', { actor: bytesOf(of), key: bytesOf(id), reason: 'stolen' },
    signing === undefined ? {} : { key: signing },
  );
const rekey = (author: Id, seq: number, of: Id, to: string): Entry =>
  by(author, seq, 'member.rekey/1', { actor: bytesOf(of), key: key(to).coseKey, proof });
const rowsOf = (hand: HandFold) => hand.fold.reducer.rowsOf('members');
const keysOf = (hand: HandFold, actor: Id) => readMember(rowsOf(hand), actor)?.keys;

test('from the event after a rotation on the new key signs; the old one changes nothing', (t) => {
  const hand = new HandFold();
  const next = key('a').actor;
  const early = put(ada, 2, 'x', { key: next });
  t.deepEqual(hand.verdicts([early]), [], 'a key is nobody\'s before its rotation');
  t.deepEqual(
    hand.verdicts([
      put(ada, 1, 'a'),
      rotate(ada, 2, 'a'),
      put(ada, 3, 'b'),
      put(ada, 4, 'c', { key: next }),
      // the same place in the lane: what the old key signs uses up none
      put(ada, 3, 'd', { key: next }),
    ]),
    ['applied', 'applied', 'key_retired', 'applied', 'applied'],
  );
  t.deepEqual(keysOf(hand, ada), [
    { id: ada, state: 'retired', since: 0, until: 2 },
    { id: next, state: 'present', since: 2 },
  ]);
  t.is(hand.fold.reducer.keyOf(ada), next);
  t.is(hand.fold.reducer.actorOfKey(next), ada);
  t.is(keysOf(hand, bob), undefined);
});

test('a retired key has no say: neither rotation nor revocation nor lanes', (t) => {
  const hand = new HandFold();
  hand.verdicts([rotate(ada, 1, 'a')]);
  const top = Number.MAX_SAFE_INTEGER;
  const stolen = [
    rotate(ada, 2, 'b'),
    revoke(ada, 3, ada, key('a').actor),
    put(ada, top, 'x'),
    put(ada, 5, 'x', { lane: 9 }),
  ];
  t.deepEqual(hand.verdicts(stolen), stolen.map(() => 'key_retired'));
  t.deepEqual(hand.verdicts(stolen), [], 'once each');
  t.is(hand.fold.reducer.topOfLane(ada, 0), 1);
  t.is(hand.fold.reducer.topOfLane(ada, 9), -1);
  t.deepEqual(hand.verdicts([put(ada, 2, 'y', { key: key('a').actor })]), ['applied']);
});

test('what a revoked key signs is void, and what is void uses up nothing', (t) => {
  const hand = new HandFold();
  const next = key('a').actor;
  hand.verdicts([rotate(ada, 1, 'a'), put(ada, 2, 'x')]);
  t.deepEqual(hand.verdicts([revoke(ada, 3, ada, next, next)]), ['key_not_permitted']);
  t.deepEqual(hand.verdicts([revoke(ada, 4, ada, ada, next)]), ['applied']);
  const { size } = hand.fold;
  t.deepEqual(hand.verdicts([put(ada, 5, 'y'), rotate(ada, 6, 'b')]), []);
  t.is(hand.fold.size, size);
  t.is(hand.fold.reducer.topOfLane(ada, 0), 4);
  t.deepEqual(hand.verdicts([revoke(ada, 7, ada, ada, next)]), ['key_revoked']);
  t.like(keysOf(hand, ada)?.[0], { state: 'revoked', until: 1, revoked: 4 });
});

test('only operators revoke present keys; then nothing counts until one binds a new key', (t) => {
  const hand = new HandFold();
  t.deepEqual(
    hand.verdicts([
      revoke(bob, 1, ada, ada),
      rekey(bob, 2, ada, 'a'),
      rekey(operator, 1, ada, 'a'),
      revoke(operator, 2, ada, bob),
      revoke(operator, 3, key('nobody').actor, ada),
      revoke(operator, 4, operator, operator),
      revoke(operator, 5, ada, ada),
    ]),
    [
      'key_not_permitted', 'not_operator', 'key_present', 'key_unknown', 'key_unknown',
      'key_not_permitted', 'applied',
    ],
  );
  t.is(hand.fold.reducer.keyOf(ada), undefined);
  t.deepEqual(hand.verdicts([put(ada, 1, 'x'), rotate(ada, 2, 'b')]), []);
  t.deepEqual(hand.verdicts([rekey(operator, 6, ada, 'a')]), ['applied']);
  t.deepEqual(hand.verdicts([put(ada, 1, 'x', { key: key('a').actor })]), ['applied']);
  t.deepEqual(hand.verdicts([put(ada, 2, 'x')]), [], 'the old one stays revoked');
  t.deepEqual(
    hand.verdicts([revoke(other, 1, operator, operator), put(operator, 9, 'x')]),
    ['applied'],
    'one operator revokes another\'s',
  );
});

test('a key is bound once: not again, not to another, and no name of a member', (t) => {
  const hand = new HandFold();
  hand.verdicts([rotate(ada, 1, 'a')]);
  const next = key('a').actor;
  const back = by(
    ada, 2, 'member.rotate/1', { key: net.validators[0]?.coseKey, proof }, { key: next },
  );
  const named = by(
    ada, 3, 'member.rotate/1', { key: net.validators[1]?.coseKey, proof }, { key: next },
  );
  t.deepEqual(hand.verdicts([back, named, rotate(bob, 1, 'a'), rotate(ada, 4, 'a', next)]), [
    'key_taken', 'key_taken', 'key_taken', 'key_taken',
  ]);
  const change = (at: number, body: Body) => {
    return hand.verdicts([by(operator, at, 'committee.change/1', body)]);
  };
  const member = { actor: bytesOf(ada) };
  t.deepEqual(change(1, { add: [member] }), ['already_validator']);
  change(2, { remove: [bytesOf(ada)] });
  const old = { key: net.validators[0]?.coseKey, peer: 'peer-0', stake: 1 };
  t.deepEqual(change(3, { add: [old] }), ['key_retired']);
  // policies see it by the name that it has, so nobody gives it another
  t.deepEqual(change(4, { add: [{ ...old, key: key('a').coseKey }] }), ['member_known']);
  t.deepEqual(change(5, { add: [member] }), ['applied']);
  t.is(listMembers(rowsOf(hand)).length, 4, 'the same actor under its new key');
  t.is(hand.fold.seats.validators[1]?.actor, ada);
});

test('a validator that rotates sits in the next committee with its new key', (t) => {
  const hand = new HandFold();
  t.is(hand.fold.seats.epoch, 0);
  hand.verdicts([rotate(ada, 1, 'a')]);
  const { epoch, validators } = hand.fold.seats;
  t.is(epoch, 1);
  t.deepEqual(validators.map(({ actor }) => actor), [ada, bob]);
  t.deepEqual(validators[0]?.coseKey, key('a').coseKey);
  t.is(validators[0]?.peer, 'peer-0');
  hand.verdicts([rotate(operator, 1, 'b')]);
  t.is(hand.fold.seats.epoch, 1, 'an operator without a seat ends no epoch');
});

test('who is left without a key loses its seat, the last validator but keeps it', (t) => {
  const hand = new HandFold();
  hand.verdicts([revoke(operator, 1, ada, ada)]);
  t.deepEqual(hand.fold.seats.validators.map(({ actor }) => actor), [bob]);
  hand.verdicts([revoke(operator, 2, bob, bob)]);
  t.is(hand.fold.seats.epoch, 1);
  t.deepEqual(hand.fold.seats.validators.map(({ actor }) => actor), [bob]);
  hand.verdicts([rekey(operator, 3, bob, 'b')]);
  t.is(hand.fold.seats.epoch, 2);
  t.deepEqual(hand.fold.seats.validators[0]?.coseKey, key('b').coseKey);
});

test('two rotations in one commit: the last one counts, the epoch ends once', (t) => {
  const hand = new HandFold();
  t.deepEqual(hand.verdicts([rotate(ada, 1, 'a'), rotate(ada, 2, 'b', key('a').actor)]), [
    'applied', 'applied',
  ]);
  t.is(hand.fold.seats.epoch, 1);
  t.deepEqual(hand.fold.seats.validators[0]?.coseKey, key('b').coseKey);
});

test('an actor has at most 256 keys', (t) => {
  const hand = new HandFold();
  let signing: Id | undefined;
  // keys by their bytes alone: nothing is signed here
  const fake = (i: number): Uint8Array => {
    const coseKey = key('a').coseKey.slice();
    coseKey[COSE_KEY_BYTES - 1] = i % 256;
    coseKey[COSE_KEY_BYTES - 2] = i >> 8;
    return coseKey;
  };
  for (let i = 1; i <= KEYS_MAX; i++) {
    const body = { key: fake(i), proof };
    const more = signing === undefined ? {} : { key: signing };
    const verdicts = hand.verdicts([by(operator, i, 'member.rotate/1', body, more)]);
    t.deepEqual(verdicts, [i < KEYS_MAX ? 'applied' : 'key_bounds']);
    signing = hand.fold.reducer.keyOf(operator);
  }
  t.is(keysOf(hand, operator)?.length, KEYS_MAX);
});

test('bodies without their form are rejected', (t) => {
  const hand = new HandFold();
  const wrong: readonly [string, Body][] = [
    ['member.rotate/1', { key: key('a').coseKey }],
    ['member.rotate/1', { key: key('a').coseKey, proof: proof.subarray(1) }],
    ['member.rotate/1', { key: key('a').coseKey.subarray(1), proof }],
    ['member.rekey/1', { key: key('a').coseKey, proof, actor: new Uint8Array(31) }],
    ['member.revoke/1', { actor: bytesOf(ada), key: bytesOf(ada) }],
    ['member.revoke/1', { actor: bytesOf(ada), key: bytesOf(ada), reason: '' }],
    ['member.revoke/1', { actor: bytesOf(ada), key: ada, reason: 'x' }],
  ];
  t.deepEqual(
    hand.verdicts(wrong.map(([kind, body], i) => by(operator, i + 1, kind, body))),
    wrong.map(() => 'bad_body'),
  );
});

test('state is the same after a restart', async (t) => {
  const hand = new HandFold();
  hand.verdicts([rotate(ada, 1, 'a'), revoke(operator, 1, bob, bob)]);
  await hand.write();
  const again = hand.restarted();
  t.deepEqual(again.fold.summary(), hand.fold.summary());
  t.is(again.fold.reducer.keyOf(ada), key('a').actor);
  t.is(again.fold.reducer.keyOf(bob), undefined);
});

/** Two blocks of ada's for one slot of epoch 0, by her first key. */
async function twins(): Promise<Body> {
  const { id: chain, committee } = net.chain;
  const [who] = net.validators;
  const seal = (ts_ms: number) => {
    const parents = [0, 1].map((author) => {
      return { round: 0, author, id: genesisBlockId(chain, committee, author) };
    });
    const draft = { chain, epoch: 0, committee: committee.id, round: 1, author: 0, ts_ms, parents };
    return sealBlock(draft, [], [], (who as typeof who & object).signer);
  };
  return evidenceBody(await seal(1), await seal(2), who?.coseKey as Uint8Array);
}

test('an old key accuses its actor for a day, and not once an operator revoked it', async (t) => {
  const body = await twins();
  const accuse = (seq: number) => by(bob, seq, EVIDENCE_KIND, body);
  const next = key('a').actor;
  const at_ms = CREATED_MS + 1000;
  const rotated = (): HandFold => {
    const hand = new HandFold();
    t.deepEqual(hand.verdicts([rotate(ada, 1, 'a')], at_ms), ['applied']);
    return hand;
  };
  const soon = rotated();
  // revoking it oneself hides nothing
  t.deepEqual(soon.verdicts([revoke(ada, 2, ada, ada, next)], at_ms), ['applied']);
  t.deepEqual(soon.verdicts([accuse(1)], at_ms + ACCUSES_MS), ['applied']);
  t.true(readMember(rowsOf(soon), ada)?.barred);
  t.deepEqual(soon.fold.seats.validators.map(({ actor }) => actor), [bob]);
  const late = rotated();
  t.deepEqual(late.verdicts([accuse(1)], at_ms + ACCUSES_MS + 1), ['evidence_unfounded']);
  const revoked = rotated();
  t.deepEqual(revoked.verdicts([revoke(operator, 1, ada, ada), accuse(1)], at_ms), [
    'applied', 'evidence_unfounded',
  ]);
  const both = rotated();
  t.deepEqual(
    both.verdicts(
      [revoke(ada, 2, ada, ada, next), revoke(operator, 1, ada, ada), accuse(1)], at_ms,
    ),
    ['applied', 'applied', 'evidence_unfounded'],
  );
});
