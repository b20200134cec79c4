import test from 'ava';
import { decode, encode } from '#ledger/codec.ts';
import { Committee } from '#ledger/committee.ts';
import { codeOf } from '#ledger/errors.ts';
import type { HeldKey } from '#ledger/held-keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { KeyState } from '#ledger/projection.ts';
import { helloAuth } from '#node/hello.ts';
import type { HelloKeys } from '#node/hello.ts';
import { directVerifier } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { freshKey } from '#test/support/rotations.ts';
import { seededActor, seededNet } from '#test/support/seeded-actor.ts';

/** Who a peer is, by the keys that it shows and what the ledger here knows of them. */

const net = seededNet(2);
const [ada, bob] = net.validators as [TestActor, TestActor];
const next = freshKey('hello');
const challenge = new Uint8Array(32).fill(3);

interface Known {
  readonly states?: Readonly<Record<Id, KeyState>>;
  readonly owners?: Readonly<Record<Id, Id>>;
  readonly committee?: Committee;
}

const knowing = ({ states = {}, owners = {} }: Known, own: readonly HeldKey[] = []): HelloKeys => ({
  stateOf: (_, key) => states[key] ?? 'foreign',
  ownerOf: (key) => owners[key],
  own: () => own,
});

async function hello(from: TestActor, own: readonly HeldKey[], peer = 'peer-0') {
  const { committee } = net.chain;
  const keys = knowing({}, own);
  const auth = helloAuth(net.chain, from, await directVerifier(), () => committee, keys);
  return auth.make(challenge, peer);
}

async function check(message: Uint8Array, known: Known, peer = 'peer-0'): Promise<string> {
  const committee = known.committee ?? net.chain.committee;
  const verifier = await directVerifier();
  const auth = helloAuth(net.chain, bob, verifier, () => committee, knowing(known));
  try {
    return (await auth.check(message, challenge, peer)).actor;
  } catch (error) {
    return codeOf(error);
  }
}

const afterwards: Known = {
  states: { [ada.actor]: 'retired', [next.id]: 'present' },
  owners: { [ada.actor]: ada.actor, [next.id]: ada.actor },
  committee: new Committee(1, [
    { actor: ada.actor, coseKey: next.coseKey, peer: 'peer-0', stake: 1 },
    { actor: bob.actor, coseKey: bob.coseKey, peer: 'peer-1', stake: 1 },
  ]),
};
const before: Known = {
  states: { [ada.actor]: 'present' },
  owners: { [ada.actor]: ada.actor },
};

test('the present key shows who it is, before and after a rotation', async (t) => {
  t.is(await check(await hello(ada, [ada]), before), ada.actor);
  t.is(await check(await hello(ada, [next]), afterwards), ada.actor);
  t.is(await check(await hello(ada, [ada]), afterwards), 'key_retired');
  // final, and the epoch of the old key still runs
  const between = { ...afterwards, committee: net.chain.committee };
  t.is(await check(await hello(ada, [ada]), between), ada.actor);
  t.is(await check(await hello(ada, [ada]), {
    ...between, states: { [ada.actor]: 'revoked' },
  }), ada.actor, 'a quorum of that epoch has to certify its end');
  t.is(await check(await hello(ada, [ada]), {
    ...afterwards, states: { ...afterwards.states, [ada.actor]: 'revoked' },
  }), 'key_revoked', 'the next epoch runs');
});

test('who has left is told so by who judges pairs', async (t) => {
  const left: Known = {
    owners: { [ada.actor]: ada.actor },
    committee: new Committee(1, [
      { actor: bob.actor, coseKey: bob.coseKey, peer: 'peer-1', stake: 1 },
    ]),
  };
  t.is(await check(await hello(ada, [ada]), left), ada.actor);
  t.is(await check(await hello(ada, [next, ada]), left), ada.actor);
  const others = { ...left, owners: { ...left.owners, [next.id]: bob.actor } };
  t.is(await check(await hello(ada, [ada, next]), others), 'hello_invalid');
});

test('who does not know on which side of its rotation it is shows both keys', async (t) => {
  const both = await hello(ada, [ada, next]);
  t.is(await check(both, before), ada.actor);
  t.is(await check(both, afterwards), ada.actor);
  t.is((decode(both) as unknown[]).length, 5);
  const many = await hello(ada, [ada, next, freshKey('third')]);
  t.is((decode(many) as unknown[]).length, 5, 'more do not fit');
});

test('a key that nobody knows here is a peer of its own name, whatever it claims', async (t) => {
  t.is(await check(await hello(ada, [next]), before), next.id);
  const stranger = seededActor('stranger');
  t.is(await check(await hello(stranger, [stranger]), before), stranger.actor);
});

test('claims, signatures and forms that do not hold are refused', async (t) => {
  const owners = { [ada.actor]: ada.actor, [bob.actor]: bob.actor };
  t.is(await check(await hello(ada, [bob]), { ...before, owners }), 'hello_invalid');
  const right = await hello(ada, [ada, next]);
  const [object, sign1, key, other, otherKey] = decode(right) as Uint8Array[];
  for (const parts of [
    [object, sign1, key, sign1, otherKey],
    [object, other, key],
    [object, sign1, key, other],
    [object],
    [object, sign1, key, other, otherKey, sign1, key],
    [object, 'x', key],
  ]) {
    t.is(await check(encode(parts), before), 'hello_invalid');
  }
  t.is(await check(right, before, 'peer-1'), 'hello_invalid');
});
