import test from 'ava';
import { Fold } from '#ledger/fold.ts';
import type { Body, Event } from '#ledger/event.ts';
import { newGenesisSchema, schemaFor } from '#node/schema.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** Roles of membership, as the fold gives them to policies. */

const net = seededNet(2, 1, 'policy-members', newGenesisSchema());
const { genesis } = net.chain;
const [validator, leaving] = net.validators.map(({ actor }) => actor) as [string, string];
const [operator] = net.operators.map(({ actor }) => actor) as [string];

function eventOf(actor: string, kind: string, body: Event['body'] = {}): Event {
  return { chain: net.chain.id, actor, lane: 0, seq: 1, kind, body, hlc: [0, 0] };
}

test('validators and operators have their roles; a seat that is lost takes its role away', (t) => {
  const { reducer } = new Fold(new MemoryStore(), genesis, schemaFor(genesis));
  const text = `permit (principal in Role::"validator", action == Action::"kv.put/1",
    resource == Key::"validators");`;
  const apply = (event: Event, seq: number) =>
    reducer.apply({ id: `${seq}`.padStart(64, '0'), event: { ...event, seq }, seq, ts_ms: seq });
  t.is(apply(eventOf(operator, 'policy.put/1', { id: 'validators', text }), 1), 'applied');
  t.is(apply(eventOf(operator, 'policy.delete/1', { id: 'default.data' }), 2), 'applied');
  const body = { key: 'validators', value: new Uint8Array() };
  const may = (actor: string) =>
    reducer.permission(eventOf(actor, 'kv.put/1', body), 1)?.isAllowed;
  t.deepEqual([validator, leaving, operator].map(may), [true, true, false]);
  t.is(apply(eventOf(validator, 'policy.put/1', { id: 'x', text }), 3), 'denied');

  t.is(apply(eventOf(leaving, 'committee.leave/1'), 4), 'applied');
  // the seat is its own until the epoch ends
  t.true(may(leaving));
  const schema = schemaFor(genesis);
  t.true(schema.members.endCommit(reducer.rowsOf('members')));
  t.deepEqual([validator, leaving].map(may), [true, false]);
});

test('a change of the committee needs its members permitted, each of them', (t) => {
  const { reducer } = new Fold(new MemoryStore(), genesis, schemaFor(genesis));
  const text = `forbid (principal, action == Action::"committee.change/1",
    resource == Member::"${leaving}");`;
  const put = eventOf(operator, 'policy.put/1', { id: 'stays', text });
  t.is(reducer.apply({ id: '0'.repeat(64), event: put, seq: 1, ts_ms: 1 }), 'applied');
  const may = (...remove: string[]) => {
    const body = { remove: remove.map((actor) => Uint8Array.fromHex(actor)) };
    return reducer.permission(eventOf(operator, 'committee.change/1', body), 1);
  };
  t.true(may(validator)?.isAllowed);
  t.deepEqual(may(validator, leaving)?.reasons, ['stays']);
});

test('who gets a seat is asked for by its actor, and who is described as a member', (t) => {
  const { reducer } = new Fold(new MemoryStore(), genesis, schemaFor(genesis));
  const put = (id: string, text: string, seq: number) => {
    const event = { ...eventOf(operator, 'policy.put/1', { id, text }), seq };
    t.is(reducer.apply({ id: `${seq}`.padStart(64, '0'), event, seq, ts_ms: seq }), 'applied');
  };
  const actor = Uint8Array.fromHex(leaving);
  const add = { add: [{ actor }] };
  const describe = { actor, roles: ['auditor'] };
  const ask = (kind: string, body: Body) => reducer.permission(eventOf(operator, kind, body), 1);
  t.true(ask('committee.change/1', add)?.isAllowed);
  t.true(ask('member.describe/1', describe)?.isAllowed);
  put('no-seat', `forbid (principal, action, resource == Member::"${leaving}")
    unless { action in Action::"membership" };`, 1);
  t.deepEqual(ask('committee.change/1', add)?.reasons, ['no-seat']);
  t.true(ask('member.describe/1', describe)?.isAllowed);
  put('no-changes', 'forbid (principal, action in Action::"membership", resource);', 2);
  t.deepEqual(ask('member.describe/1', describe)?.reasons, ['no-changes']);
});
