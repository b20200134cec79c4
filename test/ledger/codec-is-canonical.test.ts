import test from 'ava';
import * as fc from 'fast-check';
import { decode, encode } from '#ledger/codec.ts';
import { equalBytes, linkOf } from '#ledger/ids.ts';
import { NESTING_MAX } from '#ledger/limits.ts';
import { codeIn } from '#test/support/codes.ts';

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(' ', ''));
const codeOfHex = (text: string): string => codeIn(() => decode(hex(text)));

const integer = fc.maxSafeInteger().map((n) => (Object.is(n, -0) ? 0 : n));
const key = fc
  .string({ minLength: 1, maxLength: 16, unit: 'grapheme' })
  .filter((one) => one !== '__proto__' && new TextEncoder().encode(one).length <= 64);
const link = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => linkOf(id.toHex()));
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    integer,
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 300 }),
    link,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5 }),
  ),
}));

test('what is encoded is canonical, and decodes to what encodes to the same bytes', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encode(value);
      return equalBytes(encode(decode(bytes)), bytes);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('any bytes are refused with a code, or are exactly what their value encodes to', (t) => {
  const judge = (bytes: Uint8Array): boolean => {
    const code = codeIn(() => decode(bytes));
    if (code !== 'none') return code === 'not_canonical' || code === 'too_deep';
    return equalBytes(encode(decode(bytes)), bytes);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), judge), { numRuns: 3000 });
  const byte = fc.integer({ min: 1, max: 255 });
  const mutation = fc.record({ value: anyValue, at: fc.nat(), byte });
  fc.assert(
    fc.property(mutation, ({ value, at, byte: by }) => {
      const bytes = encode(value).slice();
      const i = at % bytes.length;
      bytes[i] = (bytes[i] as number) ^ by;
      return judge(bytes);
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

const CID = 'd82a58250001711220' + 'ab'.repeat(32);
const BAD: Readonly<Record<string, readonly string[]>> = {
  'a longer length than needed': [
    '1817',
    '1900ff',
    '1a0000ffff',
    '1b00000000ffffffff',
    '5800',
    '7801 61',
    '9800',
    'b800',
    '9b0000000000000000',
    '3817',
    'd9002a' + CID.slice(4),
  ],
  'keys out of order': ['a2 6162 01 6161 01', 'a2 626161 01 6162 01'],
  'a key twice': ['a2 6161 01 6161 02'],
  'a key that is no text': ['a1 01 01', 'a1 4161 01', 'a1 80 01'],
  'an empty key': ['a1 60 01'],
  'a key that is too long': ['a1 7841' + '61'.repeat(65) + '01'],
  'the key __proto__': ['a1 69 5f5f70726f746f5f5f a0', 'a1 69 5f5f70726f746f5f5f 01'],
  'a float': [
    'f90000',
    'f93c00',
    'fa3fc00000',
    'fb3ff8000000000000',
    'fb7ff8000000000000',
    'f97c00',
  ],
  'undefined or another simple value': ['f7', 'e0', 'f3', 'f800', 'f814', 'f8ff', 'fc', 'ff'],
  'an indefinite length': ['5f4101ff', '7f6161ff', '9fff', 'bfff', '9f01ff'],
  'a reserved length': ['1c', '1d', '3e', '5c', '7d', '9c', 'bd', 'dc'],
  'another tag': ['c000', 'c1 00', 'd82b' + CID.slice(4), 'd9d9f7 00', 'c2 41 01'],
  'a link that is none': [
    'd82a 01',
    'd82a 60',
    'd82a 4100',
    'd82a 5824' + '00'.repeat(36),
    CID.replace('0171', '0172'),
    CID.replace('0001', '0101'),
    CID.replace('0171', '0071'),
    CID.replace('1220', '1320'),
    CID.replace('1220', '1221'),
    'd82a 5826' + CID.slice(8) + '00',
  ],
  'text that is not UTF-8': ['61ff', '62c080', '63eda080', '64f4908080', '61c3', 'a1 61ff 01'],
  'bytes after the item': ['0000', 'a000', '80 80', '6161 00'],
  'an early end': [
    '',
    '18',
    '19ff',
    '41',
    '6261',
    '81',
    '8201',
    'a1',
    'a16161',
    'd82a',
    '5affffffff',
    '9affffffff',
    'baffffffff',
    'd82a5825',
  ],
  'an integer beyond 2^53': [
    '1b0020000000000000',
    '1bffffffffffffffff',
    '3b001fffffffffffff',
    '3b0020000000000000',
    '3bffffffffffffffff',
  ],
};

for (const [what, all] of Object.entries(BAD)) {
  test(`refused: ${what}`, (t) => {
    for (const one of all) {
      t.is(codeOfHex(one), 'not_canonical', one);
      if (what !== 'bytes after the item' && what !== 'an early end') {
        t.is(codeOfHex(`81${one}`), 'not_canonical', `in a list: ${one}`);
        t.is(codeOfHex(`a16161${one}`), 'not_canonical', `in a map: ${one}`);
      }
    }
  });
}

test('the largest and the smallest integers pass', (t) => {
  t.is(decode(hex('1b001fffffffffffff')), Number.MAX_SAFE_INTEGER);
  t.is(decode(hex('3b001ffffffffffffe')), Number.MIN_SAFE_INTEGER);
  t.is(decode(hex('1818')), 24);
  t.is(decode(hex('20')), -1);
});

test('nesting ends at its limit, without a stack overflow', (t) => {
  t.is(codeOfHex('81'.repeat(NESTING_MAX) + '80'), 'none');
  t.is(codeOfHex('81'.repeat(NESTING_MAX + 1) + '80'), 'too_deep');
  t.is(codeOfHex('a16161'.repeat(NESTING_MAX + 1) + '01'), 'too_deep');
  t.is(codeOfHex('81'.repeat(200_000)), 'too_deep');
});

test('a text that begins with a byte order mark is refused: decoders drop the mark', (t) => {
  for (const one of ['63efbbbf', '66efbbbf616263', 'a163efbbbf01', 'a2 6161 01 64efbbbf61 02']) {
    t.is(codeOfHex(one), 'not_canonical', one);
  }
  const inside = hex('64 61efbbbf');
  t.deepEqual(encode(decode(inside)), inside);
});

test('what has no form is not encoded', (t) => {
  for (const value of [undefined, { a: undefined }, [() => 1], { s: Symbol('s') }, Number.NaN]) {
    t.is(
      codeIn(() => encode(value)),
      'wrong_type',
    );
  }
});

test('names that every object has are keys like others', (t) => {
  const bytes = encode({ constructor: 1, toString: 2, hasOwnProperty: 3 });
  t.deepEqual(encode(decode(bytes)), bytes);
  t.is(Object.getPrototypeOf(decode(bytes)), Object.prototype);
});
