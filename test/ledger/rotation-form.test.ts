import test from 'ava';
import { decode } from '#ledger/codec.ts';
import { jobOf, keyId } from '#ledger/cose.ts';
import type { Event } from '#ledger/event.ts';
import { bytesOf, idOf } from '#ledger/ids.ts';
import { innerJobs } from '#ledger/inner-jobs.ts';
import {
  REKEY_KIND, REVOKE_KIND, ROTATE_KIND, encodeRotation, isNewKey, rekeyBody, rotateBody,
} from '#ledger/rotation.ts';
import { loadEngine } from '#native/engine.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

/** The object that a new key signs, byte by byte, and what of it an event's validity asks for. */

const chain = '11'.repeat(32);
const actor = '22'.repeat(32);
const key = '33'.repeat(32);
const fresh = seededActor('the next one');

const event = (kind: string, body: Event['body'], more: Partial<Event> = {}): Event =>
  ({ chain, actor, key, lane: 0, seq: 1, kind, body, hlc: [0, 0], ...more });

test('the object has these bytes', (t) => {
  const bytes = encodeRotation({ chain, actor, key, next: '44'.repeat(32) });
  const parts = [
    // a map of six; t: 'rotation'; v: 1
    'a6', '617468726f746174696f6e', '617601',
    `636b65795820${key}`,
    `646e6578745820${'44'.repeat(32)}`,
    `656163746f725820${actor}`,
    `65636861696ed82a58250001711220${chain}`,
  ];
  t.is(bytes.toHex(), parts.join(''));
  const without = encodeRotation({ chain, actor, next: '44'.repeat(32) });
  t.deepEqual(Object.keys(decode(without) as object), ['t', 'v', 'next', 'actor', 'chain']);
  t.not(idOf(without), idOf(bytes));
});

for (const name of ['liboqs', 'openssl'] as const) {
  test(`${name}: a rotation brings one signature, of the new key over its own event`, async (t) => {
    const engine = await loadEngine(name);
    const body = await rotateBody({ chain, actor, key }, fresh);
    const holds = (one: Event): boolean[] => innerJobs(one).map((job) => engine.verify(job));
    t.deepEqual(holds(event(ROTATE_KIND, body)), [true]);
    t.deepEqual(holds(event(ROTATE_KIND, body, { actor: key, key: actor })), [false]);
    t.deepEqual(holds(event(ROTATE_KIND, body, { chain: key })), [false]);
    t.deepEqual(holds(event(ROTATE_KIND, body, { key: fresh.actor })), [false]);
    const other = seededActor('another').coseKey;
    t.deepEqual(holds(event(ROTATE_KIND, { ...body, key: other })), [false]);
    const again = await rekeyBody({ chain, actor }, fresh);
    t.deepEqual(holds(event(REKEY_KIND, again, { actor: key, key: chain })), [true]);
    t.deepEqual(holds(event(REKEY_KIND, { ...again, actor: bytesOf(key) })), [false]);
    const mixed = { ...body, actor: bytesOf(actor) };
    t.deepEqual(holds(event(REKEY_KIND, mixed)), [false], 'that of a rotation is another');
    t.deepEqual(holds(event(REVOKE_KIND, body)), []);
    t.deepEqual(holds(event('kv.put/1', body)), []);
    // a signature for another purpose is none for this one
    const { proof } = body as { readonly proof: Uint8Array };
    const object = encodeRotation({ chain, actor, key, next: keyId(fresh.coseKey) });
    t.false(engine.verify(jobOf('event', object, proof, fresh.coseKey)));
    t.true(engine.verify(jobOf('rotation', object, proof, fresh.coseKey)));
  });
}

test('forms of a new key', async (t) => {
  const body = await rotateBody({ chain, actor, key }, fresh);
  const { proof } = body as { readonly proof: Uint8Array };
  t.true(isNewKey(body));
  for (const wrong of [
    {}, { ...body, key: undefined }, { ...body, proof: 'x' },
    { ...body, key: fresh.coseKey.subarray(1) }, { ...body, proof: proof.subarray(1) },
  ]) {
    t.false(isNewKey(wrong));
    t.deepEqual(innerJobs(event(ROTATE_KIND, wrong)), []);
  }
  t.deepEqual(innerJobs(event(REKEY_KIND, { ...body, actor: new Uint8Array(31) })), []);
});
