import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { LightMyRequestResponse } from 'fastify';
import * as fc from 'fast-check';
import { decode, encode } from '#ledger/codec.ts';
import { entryOf, signEvent } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import { bytesOf, linkOf, parseId, textOf } from '#ledger/ids.ts';
import { makeActor } from '#test/support/cluster.ts';
import { signedEvent, startSingleNode, submission } from '#test/support/single-node.ts';

const node = await startSingleNode();
test.after.always(() => node.close());
const stranger = await makeActor();

const CBOR = { 'content-type': 'application/cbor' };
type Reply = LightMyRequestResponse;
const post = (payload: Buffer, url = '/v1/events', headers: object = CBOR): Promise<Reply> =>
  node.api.inject({ method: 'POST', url, payload, headers: { ...headers } });
const send = (entry: Entry): Promise<LightMyRequestResponse> =>
  post(submission(entry, node.operator));

function refused(
  t: ExecutionContext,
  reply: LightMyRequestResponse,
  status: number,
  code: string,
): void {
  t.is(reply.statusCode, status, reply.body);
  const { code: found, message, detail, requestId } = reply.json();
  t.is(found, code);
  t.regex(message, /\.$/);
  t.is(typeof detail, 'object');
  t.regex(requestId, /^[0-9a-f]{8}-[0-9a-z]+$/);
}

test('a signed event is accepted, becomes final, and is known from then on', async (t) => {
  const entry = await signedEvent(node, 1);
  const first = await send(entry);
  t.is(first.statusCode, 202, first.body);
  t.deepEqual(first.json(), { id: textOf(entry.id), state: 'accepted' });

  const final = await node.core.waitFinal(entry.id, 60_000);
  const again = await send(entry);
  t.is(again.statusCode, 200);
  t.deepEqual(again.json(), { id: textOf(entry.id), state: 'final' });

  for (const id of [textOf(entry.id), entry.id]) {
    const shown = (await node.api.inject(`/v1/events/${id}`)).json();
    t.is(shown.state, 'final');
    t.is(shown.seq, final?.seq);
    t.is(shown.commit, final?.commit);
    t.is(shown.verdict, 'applied');
    t.true(shown.signed);
    t.is(parseId(shown.block.id), String(final?.block.id));
    t.is(shown.event.chain, textOf(node.net.chain.id));
    t.is(shown.event.actor, node.operator.actor);
    t.deepEqual(shown.event.body, { key: 'k1', value: { $bytes: 'AQ==' } });
  }
});

test('a known event that is not final is told as accepted', async (t) => {
  const entry = await signedEvent(node, 2);
  const { coseKey } = node.operator;
  node.core.replica.pool.add({ entry, coseKey, isOwn: false, due_ms: Infinity });
  const reply = await send(entry);
  t.is(reply.statusCode, 200);
  t.is(reply.json().state, 'accepted');
  const shown = (await node.api.inject(`/v1/events/${entry.id}`)).json();
  t.is(shown.state, 'accepted');
  t.false('seq' in shown);
});

test('links and dependencies are shown as CIDs', async (t) => {
  const first = await signedEvent(node, 20);
  await send(first);
  const notAfter_ms = Date.now() + 60_000;
  const second = await signedEvent(node, 21, { deps: [first.id], notAfter_ms });
  await send(second);
  const final = await node.core.waitFinal(second.id, 60_000);
  t.is(final?.verdict, 0);
  const shown = (await node.api.inject(`/v1/events/${second.id}`)).json();
  t.deepEqual(shown.event.deps, [textOf(first.id)]);
});

test('an event with another signature is refused', async (t) => {
  const entry = await signedEvent(node, 30);
  const bytes = entry.bytes.slice();
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
  refused(t, await post(submission({ bytes }, node.operator)), 422, 'bad_event_signature');
});

test('an event sent with another key is refused', async (t) => {
  refused(t, await post(submission(await signedEvent(node, 31), stranger)), 400, 'bad_key');
});

test('an event without a signature is refused', async (t) => {
  const { event } = await signedEvent(node, 32);
  refused(t, await send(entryOf(event)), 422, 'unsigned');
});

test('an event of nobody known is refused', async (t) => {
  const { event } = await signedEvent(node, 33);
  const entry = await signEvent({ ...event, actor: stranger.actor }, stranger.signer);
  refused(t, await post(submission(entry, stranger)), 403, 'not_member');
});

test('an event for another network is refused', async (t) => {
  const entry = await signedEvent(node, 34, { chain: 'ab'.repeat(32) });
  refused(t, await send(entry), 422, 'foreign_chain');
});

test('an event whose time has passed is refused', async (t) => {
  refused(t, await send(await signedEvent(node, 35, { notAfter_ms: 1 })), 422, 'expired');
});

test('an event of no known kind is refused', async (t) => {
  refused(t, await send(await signedEvent(node, 36, { kind: 'kv.swap/1' })), 422, 'unknown_kind');
});

test('an event with a body that does not fit is refused', async (t) => {
  const reply = await send(await signedEvent(node, 37, { body: { key: 5 } }));
  refused(t, reply, 422, 'bad_body');
  t.is(reply.json().detail.kind, 'kv.put/1');
});

test('a lane and seq are used once', async (t) => {
  const first = await signedEvent(node, 40);
  await send(first);
  await node.core.waitFinal(first.id, 60_000);
  const other = await signedEvent(node, 40, { body: { key: 'other', value: new Uint8Array() } });
  const reply = await send(other);
  refused(t, reply, 409, 'replayed');
  t.is(reply.json().detail.seq, 40);
  t.true(reply.json().detail.highest >= 40);
});

test('a lane and seq that another pending event has are refused', async (t) => {
  const held = await signedEvent(node, 45);
  const { coseKey } = node.operator;
  node.core.replica.pool.add({ entry: held, coseKey, isOwn: false, due_ms: Infinity });
  const other = await signedEvent(node, 45, { body: { key: 'other', value: new Uint8Array() } });
  refused(t, await send(other), 409, 'slot_pending');
});

test('an event of a later version or with unknown fields is refused', async (t) => {
  const { event, eventBytes } = await signedEvent(node, 50);
  const fields = decode(eventBytes) as object;
  const changed: readonly (readonly [object, string])[] = [
    [{ ...fields, v: 2 }, 'unknown_version'],
    [{ ...fields, more: 1 }, 'unknown_field'],
    [{ ...fields, t: 'block' }, 'wrong_object'],
    [{ ...fields, lane: 'x' }, 'wrong_type'],
    [{ ...fields, lane: 65_536 }, 'out_of_range'],
    [{ ...fields, actor: bytesOf(event.actor).subarray(1) }, 'wrong_type'],
    [{ ...fields, chain: linkOf(event.chain).toString() }, 'wrong_type'],
  ];
  for (const [object, code] of changed) {
    const eventPart = encode(object);
    const bytes = Buffer.concat([Uint8Array.of(0x82), eventPart, Uint8Array.of(0x80)]);
    refused(t, await post(submission({ bytes }, node.operator)), 400, code);
  }
});

test('an event above 64 KiB is refused', async (t) => {
  const { event } = await signedEvent(node, 51);
  const fields = decode(entryOf(event).eventBytes) as object;
  const object = { ...fields, body: { key: 'a'.repeat(65_536) } };
  const bytes = Buffer.concat([Uint8Array.of(0x82), encode(object), Uint8Array.of(0x80)]);
  refused(t, await post(submission({ bytes }, node.operator)), 413, 'event_too_large');
});

test('what is no pair of byte strings in DAG-CBOR is refused', async (t) => {
  const { bytes } = await signedEvent(node, 52);
  refused(t, await post(Buffer.alloc(0)), 400, 'not_canonical');
  refused(t, await post(Buffer.from('not cbor')), 400, 'not_canonical');
  refused(t, await post(Buffer.from([0x5f, 0xff])), 400, 'not_canonical');
  refused(t, await post(Buffer.from(encode([bytes]))), 400, 'wrong_type');
  refused(t, await post(Buffer.from(encode([bytes, 'key']))), 400, 'wrong_type');
  refused(t, await post(Buffer.from(encode([bytes, bytes, bytes]))), 400, 'wrong_type');
  refused(t, await post(Buffer.from(encode({ entry: bytes }))), 400, 'wrong_type');
  const deep = Buffer.concat([Buffer.alloc(40, 0x81), Buffer.from([0x80])]);
  refused(t, await post(deep), 400, 'too_deep');
});

test('a body of another type, or without one, is not read', async (t) => {
  const json = { 'content-type': 'application/json' };
  refused(t, await post(Buffer.from('{}'), '/v1/events', json), 415, 'unsupported_media_type');
  refused(t, await post(Buffer.from('x'), '/v1/events', {}), 415, 'unsupported_media_type');
  const batch = await post(Buffer.from('{}'), '/v1/events/batch', json);
  refused(t, batch, 415, 'unsupported_media_type');
});

test('a body above the limit is not read', async (t) => {
  refused(t, await post(Buffer.alloc(80 * 1024)), 413, 'body_too_large');
  refused(t, await post(Buffer.alloc(2 ** 21 + 1), '/v1/events/batch'), 413, 'body_too_large');
});

test('a batch answers for each of its events', async (t) => {
  const good = await Promise.all([signedEvent(node, 60), signedEvent(node, 61)]);
  const expired = await signedEvent(node, 62, { notAfter_ms: 1 });
  const { coseKey } = node.operator;
  const items = [...good, expired].map(({ bytes }) => [bytes, coseKey] as const);
  const reply = await post(Buffer.from(encode([...items, 'nonsense'])), '/v1/events/batch');
  t.is(reply.statusCode, 200);
  const { results } = reply.json();
  t.deepEqual(results.slice(0, 2), good.map(({ id }) => ({ id: textOf(id), state: 'accepted' })));
  t.is(results[2].code, 'expired');
  t.is(results[3].code, 'wrong_type');
  t.is(results.length, 4);
});

test('a batch of more than 256 or of another form is refused', async (t) => {
  const many = Buffer.from(encode(Array.from({ length: 257 }, () => 0)));
  refused(t, await post(many, '/v1/events/batch'), 400, 'out_of_range');
  refused(t, await post(Buffer.from(encode({})), '/v1/events/batch'), 400, 'wrong_type');
});

test('an id that is none, and one of nothing held', async (t) => {
  refused(t, await node.api.inject('/v1/events/nonsense'), 400, 'bad_id');
  refused(t, await node.api.inject(`/v1/events/${'00'.repeat(32)}`), 404, 'no_such_event');
});

test('refusals are counted by code', async (t) => {
  await send(await signedEvent(node, 70, { notAfter_ms: 1 }));
  const { body } = await node.api.inject('/metrics');
  t.regex(body, /x0t_events_refused_total\{code="expired"\} [1-9]/);
});

test('a full pool, and an actor with too many events, are told to come later', async (t) => {
  const limits = { events_max: 1, bytes_max: 10 ** 6, eventsPerActor_max: 10 };
  for (const [pool, status, code] of [
    [limits, 503, 'pool_full'],
    [{ ...limits, events_max: 10, eventsPerActor_max: 1 }, 429, 'actor_quota'],
  ] as const) {
    const small = await startSingleNode({ seals: false, config: { pool } });
    const inject = async (seq: number): Promise<LightMyRequestResponse> => {
      const payload = submission(await signedEvent(small, seq), small.operator);
      return small.api.inject({ method: 'POST', url: '/v1/events', payload, headers: CBOR });
    };
    t.is((await inject(1)).statusCode, 202);
    const late = await inject(2);
    refused(t, late, status, code);
    t.is(late.headers['retry-after'], '1');
    await small.core.stop();
    refused(t, await inject(3), 503, 'stopping');
    await small.close();
  }
});

test('more events at once than the node checks are told to come later', async (t) => {
  const busy = await startSingleNode({ eventsUnderWay_max: 1 });
  t.teardown(() => busy.close());
  const entries = await Promise.all([signedEvent(busy, 1), signedEvent(busy, 2)]);
  const payload = Buffer.from(encode(entries.map(({ bytes }) => [bytes, busy.operator.coseKey])));
  const url = '/v1/events/batch';
  const reply = await busy.api.inject({ method: 'POST', url, payload, headers: CBOR });
  const { results } = reply.json();
  t.is(results[0].state, 'accepted');
  t.is(results[1].code, 'overloaded');
  const later = submission(entries[1], busy.operator);
  const again = { method: 'POST' as const, url: '/v1/events', payload: later, headers: CBOR };
  t.is((await busy.api.inject(again)).statusCode, 202);
});

test('no change of a real event by a few bytes is taken or fails the node', async (t) => {
  const entry = await signedEvent(node, 500);
  const body = submission(entry, node.operator);
  const known = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 3,
      }),
      async (changes) => {
        const changed = Buffer.from(body);
        for (const [at, mask] of changes) changed[at] = (changed[at] as number) ^ mask;
        if (changed.equals(body)) return;
        const reply = await post(changed);
        known.add(reply.json().code);
        if (reply.statusCode < 400 || reply.statusCode >= 500) throw new Error(reply.body);
      },
    ),
    { numRuns: 300 },
  );
  t.true(known.has('bad_event_signature') && known.has('bad_key'), [...known].join());
  t.is((await node.api.inject(`/v1/events/${entry.id}`)).statusCode, 404);
});
