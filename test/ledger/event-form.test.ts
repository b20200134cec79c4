import test from 'ava';
import * as fc from 'fast-check';
import { decode, encode } from '#ledger/codec.ts';
import * as cose from '#ledger/cose.ts';
import { decodeEntry, decodeEvent, encodeEvent, entryJob, entryOf } from '#ledger/event.ts';
import type { Event } from '#ledger/event.ts';
import { bytesOf, equalBytes, linkOf } from '#ledger/ids.ts';
import { EVENT_BYTES_MAX } from '#ledger/limits.ts';
import { codeIn } from '#test/support/codes.ts';

/** Every rule of wire.md on events and signatures, held and broken. */

const ID = 'ab'.repeat(32);
const event: Event = {
  chain: ID,
  actor: 'cd'.repeat(32),
  lane: 1,
  seq: 2,
  kind: 'kv.put/1',
  body: { key: 'a', value: Uint8Array.of(1) },
  hlc: [3, 4],
};
const sign1 = cose.sign1Of(new Uint8Array(3309).fill(9));

/** The event's fields as they are encoded, with changes; `undefined` leaves one out. */
function changed(changes: Record<string, unknown>): Uint8Array {
  const fields = { ...(decode(encodeEvent(event)) as object), ...changes };
  return encode(Object.fromEntries(Object.entries(fields).filter(([, one]) => one !== undefined)));
}

const codeWith = (changes: Record<string, unknown>): string =>
  codeIn(() => decodeEvent(changed(changes)));

test('an event with and without its optional fields passes unchanged', (t) => {
  const full = {
    ...event,
    key: ID,
    onBehalfOf: 'spiffe://a/b',
    notAfter_ms: 0,
    deps: Array.from({ length: 8 }, () => ID),
  };
  for (const one of [event, full, { ...full, onBehalfOf: ID }, { ...event, deps: [] }]) {
    t.deepEqual(decodeEvent(Uint8Array.from(encodeEvent(one))), one);
  }
});

const long = 'x'.repeat(3000);
const CASES: readonly (readonly [code: string, field: string, values: readonly unknown[]])[] = [
  ['wrong_object', 't', ['block', 'Event', 1, undefined]],
  ['unknown_version', 'v', [0, 2, '1', undefined]],
  ['unknown_field', 'extra', [1, null]],
  ['unknown_field', 'sig', [new Uint8Array(1)]],
  ['wrong_type', 'chain', [bytesOf(ID), 'text', 1, undefined]],
  ['wrong_type', 'actor', [new Uint8Array(31), new Uint8Array(33), ID, linkOf(ID), undefined]],
  ['wrong_type', 'key', [new Uint8Array(31), null, ID]],
  ['wrong_type', 'onBehalfOf', [new Uint8Array(31), 'http://a', `spiffe://${long}`, 1, null]],
  ['out_of_range', 'lane', [-1, 65_536]],
  ['wrong_type', 'lane', ['0', undefined, null]],
  ['out_of_range', 'seq', [-1]],
  ['wrong_type', 'seq', [undefined, [1]]],
  [
    'out_of_range',
    'kind',
    [
      '',
      'kv',
      'kv.put',
      'kv.put/0',
      'kv.put/01',
      'KV.put/1',
      'kv..put/1',
      'kv.put/1 ',
      '.put/1',
      'put/1',
      'kv.put/10000',
      `kv.${'p'.repeat(70)}/1`,
      'kv.pu_t/1',
    ],
  ],
  ['wrong_type', 'kind', [1, undefined, new Uint8Array(1)]],
  ['wrong_type', 'body', [null, [], 1, 'a', new Uint8Array(1), undefined]],
  ['wrong_type', 'hlc', [1, [1], [], ['1', 1], undefined]],
  [
    'out_of_range',
    'hlc',
    [
      [-1, 0],
      [2 ** 48, 0],
      [0, -1],
      [0, 65_536],
      [0, 0, 0],
    ],
  ],
  ['out_of_range', 'notAfter_ms', [-1]],
  ['wrong_type', 'notAfter_ms', ['1', null]],
  ['out_of_range', 'deps', [Array.from({ length: 9 }, () => linkOf(ID))]],
  ['wrong_type', 'deps', [1, null, [1], [bytesOf(ID)]]],
];

for (const [code, field, values] of CASES) {
  test(`${code}: ${field} is ${values.length} kinds of wrong`, (t) => {
    for (const [i, value] of values.entries()) t.is(codeWith({ [field]: value }), code, `${i}`);
  });
}

test('a float in an event is not canonical', (t) => {
  t.is(codeWith({ lane: 1.5 }), 'not_canonical');
  t.is(codeWith({ body: { ppm: 0.25 } }), 'not_canonical');
  t.is(codeWith({ seq: 2 ** 53 }), 'not_canonical');
});

test('an event of exactly the limit passes, one byte more does not', (t) => {
  const room =
    EVENT_BYTES_MAX - encodeEvent({ ...event, body: { value: new Uint8Array(0) } }).length;
  // two bytes more for the length of the value
  const most = { ...event, body: { value: new Uint8Array(room - 2) } };
  t.is(encodeEvent(most).length, EVENT_BYTES_MAX);
  t.is(
    codeIn(() => decodeEvent(encodeEvent(most))),
    'none',
  );
  const more = { value: new Uint8Array(room - 1) };
  t.is(
    codeIn(() => encodeEvent({ ...event, body: more })),
    'event_too_large',
  );
  t.is(
    codeIn(() => decodeEvent(changed({ body: more }))),
    'event_too_large',
  );
  t.is(
    codeIn(() => decodeEntry(entryBytes(changed({ body: more }), []))),
    'event_too_large',
  );
});

const entryBytes = (eventBytes: Uint8Array, signatures: readonly unknown[]): Uint8Array => {
  const tail = encode(signatures);
  return Uint8Array.from([0x82, ...eventBytes, ...tail]);
};

test('an entry has no or one signature, of one form', (t) => {
  const bytes = encodeEvent(event);
  const bare = decodeEntry(entryBytes(bytes, []));
  t.is(bare.sign1, undefined);
  const signed = decodeEntry(entryBytes(bytes, [sign1]));
  t.deepEqual(Uint8Array.from(signed.sign1 ?? []), sign1);
  t.is(signed.id, bare.id, 'no id depends on a signature');
  t.true(equalBytes(signed.bytes, entryOf(event, sign1).bytes));
  const spoilt = (at: number, byte: number): Uint8Array => sign1.with(at, byte);
  const wrong: readonly (readonly [string, readonly unknown[]])[] = [
    ['two signatures', [sign1, sign1]],
    ['one byte less', [sign1.subarray(1)]],
    ['one byte more', [Uint8Array.from([...sign1, 0])]],
    ['tagged', [Uint8Array.from([0xd2, ...sign1])]],
    ['another algorithm', [spoilt(6, 0x2f)]],
    ['an unprotected header', [spoilt(7, 0xa1)]],
    ['an attached payload', [spoilt(8, 0x40)]],
    ['no byte string', [[1]]],
    ['a text', ['x'.repeat(3320)]],
    ['null', [null]],
  ];
  for (const [what, signatures] of wrong) {
    const code = codeIn(() => decodeEntry(entryBytes(bytes, signatures)));
    t.true(['bad_signature_form', 'not_canonical'].includes(code), `${what}: ${code}`);
  }
  for (const broken of ['', '80', '81', '82', '8200', '820000', '8280', '83', 'a0']) {
    const code = codeIn(() => decodeEntry(Uint8Array.fromHex(broken)));
    t.true(
      ['bad_signature_form', 'not_canonical', 'wrong_type'].includes(code),
      `${broken} ${code}`,
    );
  }
  t.is(
    codeIn(() => entryJob(bare, cose.coseKeyOf(new Uint8Array(1952)))),
    'unsigned',
  );
});

test('an unsigned event that ends like a signature is read as what it is', (t) => {
  const head = Buffer.from('81590cf88444a1013830a0f6590ced', 'hex');
  for (let length = 3150; length < 3420; length++) {
    const value = new Uint8Array(length);
    value.set(head);
    const entry = entryOf({ ...event, body: { key: 'a', value } });
    const read = decodeEntry(entry.bytes);
    t.is(read.id, entry.id);
    t.is(read.sign1, undefined);
  }
});

test('a mutated entry is refused with a code, or has another id or signature', (t) => {
  for (const entry of [entryOf(event), entryOf({ ...event, key: ID, deps: [ID] }, sign1)]) {
    const change = fc.record({
      at: fc.nat({ max: entry.bytes.length - 1 }),
      by: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(change, ({ at, by }) => {
        const bytes = entry.bytes.slice();
        bytes[at] = (bytes[at] as number) ^ by;
        const code = codeIn(() => decodeEntry(bytes));
        if (code.startsWith('not coded')) return false;
        if (code !== 'none') return true;
        const read = decodeEntry(bytes);
        if (!equalBytes(encodeEvent(read.event), read.eventBytes)) return false;
        const isSame = read.id === entry.id;
        const [now = new Uint8Array(), then = new Uint8Array()] = [read.sign1, entry.sign1];
        return !isSame || !equalBytes(now, then);
      }),
      { numRuns: 2000 },
    );
  }
  t.pass();
});

test('keys have one form', (t) => {
  const key = cose.coseKeyOf(new Uint8Array(1952).fill(3));
  t.is(key.length, cose.COSE_KEY_BYTES);
  t.deepEqual(cose.publicKeyOf(key), new Uint8Array(1952).fill(3));
  t.is(
    codeIn(() => cose.coseKeyOf(new Uint8Array(1951))),
    'bad_key',
  );
  t.is(
    codeIn(() => cose.publicKeyOf(key.subarray(1))),
    'bad_key',
  );
  t.is(
    codeIn(() => cose.publicKeyOf(Uint8Array.from([...key, 0]))),
    'bad_key',
  );
  for (let at = 0; at < key.length - 1952; at++) {
    t.is(
      codeIn(() => cose.publicKeyOf(key.with(at, (key[at] as number) ^ 1))),
      'bad_key',
      `${at}`,
    );
  }
});

test('signatures of one domain are none in another', (t) => {
  const domains = ['event', 'block', 'checkpoint', 'ack', 'invite', 'rotation', 'hello', 'genesis'];
  const object = Uint8Array.of(0xa0);
  const texts = domains.map((one) => cose.toBeSigned(one as cose.Domain, object).toHex());
  t.is(new Set(texts).size, domains.length);
  for (const length of [0, 1, 23, 24, 255, 256, 65_535, 65_536, 200_000]) {
    const whole = cose.toBeSigned('block', new Uint8Array(length));
    const parts = decode(whole) as readonly unknown[];
    t.is((parts[3] as Uint8Array).length, length);
    t.deepEqual(Uint8Array.from(encode(parts)), whole);
  }
});
