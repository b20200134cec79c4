import test from 'ava';
import * as fc from 'fast-check';
import { readEvent } from '#ledger/audit/event-reader.ts';
import { decodeEvent, encodeEvent } from '#ledger/event.ts';
import type { Event } from '#ledger/event.ts';

/** The quick reader of checked events gives what the checking one gives. */

const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.toHex());
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.string(),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie('any'), { maxKeys: 4 }),
  ),
})).any;
const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/);
const kind = fc
  .tuple(word, word, fc.integer({ min: 1, max: 9999 }))
  .map(([name, verb, version]) => `${name}.${verb}/${version}`);

const event: fc.Arbitrary<Event> = fc.record(
  {
    chain: fc.constant('5a'.repeat(32)),
    actor: id,
    lane: fc.integer({ min: 0, max: 0xffff }),
    seq: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    kind,
    body: fc.dictionary(fc.stringMatching(/^[a-z]{1,12}$/), value, { maxKeys: 5 }),
    hlc: fc.tuple(fc.nat({ max: 2 ** 48 - 1 }), fc.integer({ min: 0, max: 0xffff })),
    key: id,
    notAfter_ms: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    deps: fc.array(id, { maxLength: 8 }),
    onBehalfOf: id,
  },
  { requiredKeys: ['chain', 'actor', 'lane', 'seq', 'kind', 'body', 'hlc'] },
);

test('both readers give equal events', (t) => {
  fc.assert(
    fc.property(event, (made) => {
      const bytes = encodeEvent(made);
      t.deepEqual(readEvent(bytes, made.chain), decodeEvent(bytes));
    }),
    { numRuns: 500 },
  );
});

test('a body that holds the bytes of other fields is read as a body', (t) => {
  const tricky: Event = {
    chain: '5a'.repeat(32),
    actor: 'a0'.repeat(32),
    lane: 300,
    seq: 70_000,
    kind: 'dkind.dlane/1',
    body: { kind: 'dkindelane', lane: [1, { actor: new Uint8Array(32) }] },
    hlc: [2 ** 40, 0xffff],
  };
  const bytes = encodeEvent(tricky);
  t.deepEqual(readEvent(bytes, tricky.chain), decodeEvent(bytes));
});
