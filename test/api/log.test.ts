import test from 'ava';
import { decode } from '#ledger/codec.ts';
import { chainOf } from '#ledger/genesis.ts';
import { textOf } from '#ledger/ids.ts';
import { genesisSchema } from '#projections/index.ts';
import { startSingleNode, untilFinal } from '#test/support/single-node.ts';

const node = await startSingleNode();
const EVENTS = 30;
await Promise.all(
  Array.from({ length: EVENTS }, (_, i) => node.core.author(
    'kv.put/1',
    { key: `k${i}`, value: new Uint8Array(10) },
    i % 2 === 0,
  )),
);
await untilFinal(node, EVENTS);
test.after.always(() => node.close());

interface Page {
  readonly events: readonly {
    seq: number; state: string; id: string; verdict: string; event: { kind: string };
  }[];
  readonly finalSeq: number;
  readonly next?: number;
}

test('pages of the log hold every event once, in order', async (t) => {
  const seqs: number[] = [];
  let from: number | undefined = 1;
  while (from !== undefined) {
    const page: Page = (await node.api.inject(`/v1/log?from=${from}&limit=7`)).json();
    t.true(page.events.length <= 7);
    t.is(page.finalSeq, EVENTS);
    for (const { seq, state, id, verdict, event } of page.events) {
      seqs.push(seq);
      t.is(state, 'final');
      t.is(verdict, 'applied');
      t.is(event.kind, 'kv.put/1');
      t.is((await node.api.inject(`/v1/events/${id}`)).json().seq, seq);
    }
    from = page.next;
  }
  t.deepEqual(seqs, Array.from({ length: EVENTS }, (_, i) => i + 1));
});

test('signed events and such that a block covers are told apart', async (t) => {
  const { events } = (await node.api.inject('/v1/log?limit=1000')).json();
  const signed = events.filter((one: { signed: boolean }) => one.signed);
  t.is(signed.length, EVENTS / 2);
});

test('a page beyond the end is empty', async (t) => {
  const page = (await node.api.inject('/v1/log?from=1000000')).json();
  t.deepEqual(page, { events: [], finalSeq: EVENTS });
});

test('large events make short pages', async (t) => {
  const large = await startSingleNode();
  t.teardown(() => large.close());
  const value = new Uint8Array(60 * 1024);
  const count = 80;
  for (let i = 0; i < count; i++) {
    await large.core.author('kv.put/1', { key: `${i}`, value }, false);
  }
  await untilFinal(large, count);
  const page = (await large.api.inject('/v1/log?limit=1000')).json();
  t.true(page.events.length < count && page.events.length > 60);
  t.is(page.next, page.events.length + 1);
  const list = (await large.api.inject('/v1/kv?limit=1000')).json();
  t.true(list.entries.length < count && list.entries.length > 60);
  t.is(list.next, list.entries.at(-1).key);
});

test('parameters out of range are refused', async (t) => {
  for (const query of ['from=0', 'limit=0', 'limit=1001', 'from=x', 'to=5']) {
    const reply = await node.api.inject(`/v1/log?${query}`);
    t.is(reply.statusCode, 400, query);
    t.is(reply.json().code, 'bad_request');
  }
});

test('members are those of the genesis', async (t) => {
  const { members, quorum, epoch, chain } = (await node.api.inject('/v1/members')).json();
  const [validator, operator] = members;
  t.is(members.length, 2);
  t.deepEqual(validator, {
    actor: node.net.validators[0]?.actor,
    key: node.net.validators[0]?.actor,
    state: 'active',
    roles: ['validator'],
    author: 0,
    peer: 'peer-0',
  });
  const { actor } = node.operator;
  t.deepEqual(operator, { key: actor, actor, state: 'active', roles: ['operator'] });
  const one = await node.api.inject(`/v1/members/${node.operator.actor}`);
  t.deepEqual(one.json(), operator);
  const none = await node.api.inject(`/v1/members/${'ab'.repeat(32)}`);
  t.is(none.statusCode, 404);
  t.is(none.json().code, 'no_such_member');
  t.deepEqual((await node.api.inject('/v1/invites')).json(), { invites: [] });
  t.is(quorum, 1);
  t.is(epoch, 0);
  t.is(chain, textOf(node.net.chain.id));
});

test('the genesis object hashes to the id of the chain', async (t) => {
  const reply = await node.api.inject('/v1/genesis');
  t.is(reply.headers['content-type'], 'application/cbor');
  t.is(chainOf(reply.rawPayload), node.net.chain.id);
  t.is((decode(new Uint8Array(reply.rawPayload)) as { t: string }).t, 'genesis');
});

test('kinds come with the schemas of their bodies', async (t) => {
  const { kinds } = (await node.api.inject('/v1/kinds')).json();
  t.deepEqual(
    kinds.map(({ kind }: { kind: string }) => kind).toSorted(),
    genesisSchema().kinds,
  );
  for (const { kind, about, body } of kinds) {
    t.regex(about, /\.$/);
    t.is(body.type, 'object');
    t.false(body.additionalProperties);
    if (kind.startsWith('kv.')) t.is(body.properties.key.maxLength, 512);
  }
});
