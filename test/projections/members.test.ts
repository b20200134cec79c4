import test from 'ava';
import { openChain } from '#ledger/chain.ts';
import { encodeGenesis } from '#ledger/genesis.ts';
import { Fold } from '#ledger/fold.ts';
import { listMembers, readMember, schema } from '#projections/index.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { HandFold, ada, net, put } from '#test/ledger/fold-support.ts';

/** At first the members are the committee and the operators of the genesis, and nobody else. */

test('validators come with index and peer, operators without, in the order of the genesis', (t) => {
  const rows = new HandFold().fold.reducer.rowsOf('members');
  t.deepEqual(listMembers(rows), [
    ...net.validators.map(({ actor }, i) => ({
      actor,
      roles: ['validator' as const],
      author: i,
      peer: `peer-${i}`,
    })),
    ...net.operators.map(({ actor }) => ({ actor, roles: ['operator' as const] })),
  ]);
  for (const { actor } of [...net.validators, ...net.operators]) {
    t.is(readMember(rows, actor)?.actor, actor);
    t.true(schema.members.isMember(actor, rows));
  }
  const stranger = seededActor('nobody').actor;
  t.is(readMember(rows, stranger), undefined);
  t.false(schema.members.isMember(stranger, rows));
});

test('a validator that is operator too stands once, with both roles', (t) => {
  const { genesis } = net.chain;
  const chain = openChain(encodeGenesis({ ...genesis, operators: [ada, ada] }));
  const rows = new Fold(new MemoryStore(), chain.genesis, schema).reducer.rowsOf('members');
  t.deepEqual(readMember(rows, ada)?.roles, ['validator', 'operator']);
  t.is(listMembers(rows).length, 2);
});

test('an unknown kind changes no member; they are state from the start', async (t) => {
  const hand = new HandFold();
  const root = (one: HandFold) =>
    one.fold.summary().projections.find(({ name }) => name === 'members')?.root;
  const before = root(hand);
  const kind = 'members.add/1';
  t.deepEqual(hand.verdicts([put(ada, 1, 'a', { kind }), put(ada, 2, 'a')]), [
    'unknown_kind',
    'applied',
  ]);
  await hand.write();
  t.is(root(hand.restarted()), before);
  t.is(listMembers(hand.restarted().fold.reducer.rowsOf('members')).length, 4);
  const { genesis } = net.chain;
  const fewer = openChain(encodeGenesis({ ...genesis, operators: [] }));
  const other = new Fold(new MemoryStore(), fewer.genesis, schema).summary();
  t.not(other.stateRoot, new HandFold().fold.summary().stateRoot);
});
