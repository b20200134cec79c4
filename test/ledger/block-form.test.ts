import test from 'ava';
import * as fc from 'fast-check';
import {
  blockJob,
  decodeBlock,
  encodeBlock,
  entryJobs,
  keysFor,
  sealBlock,
} from '#ledger/block.ts';
import type { Block } from '#ledger/block.ts';
import { decode, encode } from '#ledger/codec.ts';
import { Committee } from '#ledger/committee.ts';
import { sign } from '#ledger/cose.ts';
import { entryOf, signEvent } from '#ledger/event.ts';
import type { Entry, Event } from '#ledger/event.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import { decodeHeader } from '#ledger/header.ts';
import type { Header, Ref } from '#ledger/header.ts';
import { bytesOf, compareBytes, equalBytes, linkOf } from '#ledger/ids.ts';
import { BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, EVENT_BYTES_MAX } from '#ledger/limits.ts';
import { leafHash, rootOf } from '#ledger/merkle.ts';
import { loadEngine } from '#native/engine.ts';
import { codeIn } from '#test/support/codes.ts';
import { seededNet } from '#test/support/seeded-actor.ts';
import type { TestActor } from '#test/support/cluster.ts';

/** Every rule of wire.md and consensus.md 2.3 on blocks, held and broken. */

const net = seededNet(4, 3, 'block form');
const { chain } = net;
const { committee } = chain;
const at = (list: readonly TestActor[], i: number): TestActor => list[i] as TestActor;
const author = at(net.validators, 1);
const OTHER = 'ab'.repeat(32);

const event = (who: TestActor, seq: number, more: Partial<Event> = {}): Event => ({
  chain: chain.id,
  actor: who.actor,
  lane: 0,
  seq,
  kind: 'kv.put/1',
  body: { key: 'a', value: Uint8Array.of(1) },
  hlc: [0, 0],
  ...more,
});
const genesisRef = (one: number): Ref => ({
  round: 0,
  author: one,
  id: genesisBlockId(chain.id, committee, one),
});
const later = (round: number, one: number): Ref => ({
  round,
  author: one,
  id: `${one}`.repeat(64),
});
const draft = {
  chain: chain.id,
  epoch: 0,
  committee: committee.id,
  round: 1,
  author: 1,
  ts_ms: 5,
  parents: [1, 0, 2, 3].map(genesisRef),
};

const entries: readonly Entry[] = [
  await signEvent(event(at(net.operators, 0), 1), at(net.operators, 0).signer),
  entryOf(event(author, 1)),
  await signEvent(event(at(net.operators, 1), 1), at(net.operators, 1).signer),
  await signEvent(event(author, 2), author.signer),
];
const keys = [at(net.operators, 0).coseKey, at(net.operators, 1).coseKey].toSorted(compareBytes);
const [firstKey, secondKey] = keys as [Uint8Array, Uint8Array];
const real = await sealBlock(draft, entries, keys, author.signer);
const realBytes = encodeBlock(real);
/** A signature of the right form; the form does not say whether it fits. */
const form = real.sign1;
const read = (bytes: Uint8Array): Block => decodeBlock(bytes, chain.id, committee);

/** A sealed block of these parts whose header fits them, but for `header`. */
function made(
  list: readonly Uint8Array[],
  table: readonly unknown[],
  header: Record<string, unknown> = {},
): Uint8Array {
  const tableBytes = encode(table);
  const fields = {
    ...(decode(real.headerBytes) as object),
    root: rootOf([tableBytes, ...list].map(leafHash)),
    count: list.length,
    bytes: list.reduce((sum, one) => sum + one.length, tableBytes.length),
    ...header,
  };
  const kept = Object.fromEntries(Object.entries(fields).filter(([, one]) => one !== undefined));
  return encode([encode(kept), form, tableBytes, ...list]);
}

const codeOfMade = (...parts: Parameters<typeof made>): string =>
  codeIn(() => read(made(...parts)));
const bytesOfEntries = entries.map(({ bytes }) => bytes);

test('a sealed block passes, with all its parts', (t) => {
  const block = read(realBytes);
  t.is(block.ref.id, real.ref.id);
  t.deepEqual(
    block.entries.map(({ id }) => id),
    entries.map(({ id }) => id),
  );
  t.true(equalBytes(encodeBlock(block), realBytes));
  t.is(codeOfMade(bytesOfEntries, keys), 'none');
  t.is(codeOfMade([], []), 'none');
  t.is(block.bytes, block.headerBytes.length + block.sign1.length + block.header.bytes);
});

const HEADERS: readonly (readonly [code: string, field: string, values: readonly unknown[]])[] = [
  ['wrong_object', 't', ['event', undefined]],
  ['unknown_version', 'v', [2, undefined]],
  ['unknown_field', 'nonce', [1]],
  ['foreign_chain', 'chain', [linkOf(OTHER)]],
  ['wrong_type', 'chain', [1, undefined]],
  ['foreign_committee', 'epoch', [1]],
  ['foreign_committee', 'committee', [bytesOf(OTHER)]],
  ['wrong_type', 'committee', [linkOf(OTHER), new Uint8Array(31), undefined]],
  ['out_of_range', 'round', [0, -1, 2 ** 31]],
  ['wrong_type', 'round', ['1', undefined]],
  ['out_of_range', 'author', [4, -1]],
  ['out_of_range', 'ts_ms', [-1]],
  ['wrong_type', 'ts_ms', [undefined]],
  ['wrong_type', 'root', [new Uint8Array(31), linkOf(OTHER), undefined]],
  ['out_of_range', 'root', [new Uint8Array(33)]],
  ['payload_mismatch', 'root', [new Uint8Array(32)]],
  ['payload_mismatch', 'count', [0, 3, 5]],
  ['out_of_range', 'count', [BLOCK_ENTRIES_MAX + 1, -1]],
  ['payload_mismatch', 'bytes', [1, real.header.bytes - 1, real.header.bytes + 1]],
  ['out_of_range', 'bytes', [0, BLOCK_BYTES_MAX + 1]],
  ['wrong_type', 'vote', [1, [1], [1, 2], null]],
  [
    'out_of_range',
    'vote',
    [
      [0, linkOf(OTHER)],
      [1, linkOf(OTHER), 1],
    ],
  ],
  ['wrong_type', 'parents', [1, undefined, [[0, 1]], [1]]],
  ['bad_parents', 'parents', [[]]],
];

for (const [code, field, values] of HEADERS) {
  test(`${code}: ${field} of the header`, (t) => {
    for (const [i, value] of values.entries()) {
      t.is(codeOfMade(bytesOfEntries, keys, { [field]: value }), code, `${i}`);
    }
  });
}

/** What is no list of byte strings at all has one of these codes. */
const FORM = new Set(['not_canonical', 'wrong_type', 'bad_key_table']);

const links = (refs: readonly Ref[]) =>
  refs.map(({ round, author: by, id }) => [round, by, linkOf(id)]);
const withParents = (round: number, refs: readonly Ref[]): string =>
  codeOfMade(bytesOfEntries, keys, { round, parents: links(refs) });

test('parents: own first, one of each author, earlier, a quorum one round back', (t) => {
  const four = [1, 0, 2, 3].map((one) => later(4, one));
  t.is(withParents(5, four), 'none');
  t.is(withParents(5, four.slice(0, 3)), 'none');
  t.is(withParents(5, [later(2, 1), ...four.slice(1)]), 'none', 'the own parent may be older');
  t.is(withParents(5, [later(2, 1), later(4, 0), later(4, 2)]), 'no_quorum');
  t.is(withParents(5, four.slice(0, 2)), 'no_quorum');
  t.is(withParents(6, four), 'no_quorum');
  t.is(withParents(5, [later(4, 0), later(4, 1), later(4, 2)]), 'bad_parents', 'own not first');
  t.is(withParents(5, four.slice(1)), 'bad_parents', 'own missing');
  t.is(withParents(5, [...four.slice(0, 3), later(3, 2)]), 'bad_parents', 'two of one author');
  t.is(withParents(5, [...four.slice(0, 3), later(5, 3)]), 'bad_parents', 'not earlier');
  t.is(withParents(5, [...four.slice(0, 3), later(6, 3)]), 'bad_parents', 'later');
  t.is(withParents(5, [...four.slice(0, 3), later(4, 4)]), 'bad_parents', 'unknown author');
  t.is(withParents(5, [...four, later(3, 2)]), 'out_of_range', 'more than authors');
  const forged = [1, 0, 2, 3].map((one) => (one === 2 ? later(0, 2) : genesisRef(one)));
  t.is(withParents(1, forged), 'bad_parents', 'not the genesis block');
  t.is(withParents(5, [later(4, 1), later(4, 0), later(4, 2), later(0, 3)]), 'bad_parents');
  t.is(withParents(5, [later(4, 1), later(4, 0), later(4, 2), genesisRef(3)]), 'none');
});

test('the key table is sorted, whole, and holds nothing else', (t) => {
  const third = at(net.operators, 2).coseKey;
  const code = (table: readonly unknown[]): string => codeOfMade(bytesOfEntries, table);
  t.is(code([secondKey, firstKey]), 'bad_key_table', 'unsorted');
  t.is(code([firstKey, firstKey, secondKey]), 'bad_key_table', 'twice');
  t.is(code([firstKey]), 'bad_key_table', 'missing');
  t.is(code([]), 'bad_key_table', 'missing both');
  t.is(code([...keys, third].toSorted(compareBytes)), 'bad_key_table', 'unused');
  t.is(code([...keys, author.coseKey].toSorted(compareBytes)), 'bad_key_table', "the author's");
  t.true(FORM.has(code([...keys, 1])), 'no byte string');
  t.is(code([firstKey, secondKey.subarray(1)]), 'bad_key', 'no COSE_Key');
  t.is(codeOfMade([], [firstKey]), 'bad_key_table', 'unused in an empty block');
  const parts = [real.headerBytes, form, encode({ a: 1 }), ...bytesOfEntries];
  t.true(FORM.has(codeIn(() => read(encode(parts)))), 'no list');
});

test('entries: of this chain, and unsigned only where the author is the actor', (t) => {
  const alone = (one: Entry): string => codeOfMade([one.bytes], []);
  t.is(alone(entryOf(event(author, 1))), 'none');
  t.is(alone(entryOf(event(at(net.validators, 0), 1))), 'unsigned');
  t.is(alone(entryOf(event(at(net.operators, 0), 1))), 'unsigned');
  t.is(alone(entryOf(event(author, 1, { key: OTHER }))), 'unsigned');
  t.is(alone(entryOf(event(author, 1, { chain: OTHER }))), 'foreign_chain');
  t.is(alone(entryOf(event(author, 1, { key: OTHER }), form)), 'bad_key_table');
  t.is(codeOfMade([Uint8Array.of(0x82, 1, 0x80)], []), 'wrong_type');
  t.is(codeOfMade([Uint8Array.of(1)], []), 'not_canonical');
});

test('at most 512 entries and 256 KiB; one event of maximal size always fits', async (t) => {
  const small = (count: number) =>
    Array.from({ length: count }, (_, i) => entryOf(event(author, i)).bytes);
  t.is(codeOfMade(small(BLOCK_ENTRIES_MAX), []), 'none');
  t.is(codeOfMade(small(BLOCK_ENTRIES_MAX + 1), []), 'out_of_range');
  const lie = { count: BLOCK_ENTRIES_MAX };
  t.is(codeOfMade(small(BLOCK_ENTRIES_MAX + 1), [], lie), 'payload_mismatch');
  const room =
    EVENT_BYTES_MAX -
    entryOf(event(author, 0, { body: { value: new Uint8Array(0) } })).eventBytes.length -
    2;
  const largest = (seq: number) =>
    entryOf(event(author, seq, { body: { value: new Uint8Array(room) } })).bytes;
  t.is(codeOfMade([largest(0)], []), 'none');
  t.is(codeOfMade([largest(0), largest(1), largest(2)], []), 'none');
  const four = [largest(0), largest(1), largest(2), largest(3)];
  t.true(['block_too_large', 'out_of_range'].includes(codeOfMade(four, [])));
  const rest = BLOCK_BYTES_MAX - read(made(four.slice(0, 3), [])).bytes;
  const filler = (bytes: number): Uint8Array => {
    const frame = entryOf(event(author, 9, { body: { value: new Uint8Array(50_000) } })).bytes
      .length;
    return entryOf(event(author, 9, { body: { value: new Uint8Array(50_000 + bytes - frame) } }))
      .bytes;
  };
  // the header itself does not grow here
  t.is(read(made([...four.slice(0, 3), filler(rest)], [])).bytes, BLOCK_BYTES_MAX);
  t.is(codeOfMade([...four.slice(0, 3), filler(rest + 1)], []), 'block_too_large');
  t.is(
    codeIn(() => read(new Uint8Array(BLOCK_BYTES_MAX + 4096))),
    'block_too_large',
  );
});

test('a sealed block is a list of at least three byte strings', (t) => {
  for (const value of [
    [],
    [form],
    [form, form],
    [1, 2, 3],
    { a: 1 },
    form,
    [form, form, 1],
    null,
  ]) {
    const code = codeIn(() => read(encode(value)));
    t.true(FORM.has(code), `${JSON.stringify(value).slice(0, 40)}: ${code}`);
  }
  t.is(
    codeIn(() => read(new Uint8Array(0))),
    'not_canonical',
  );
  const [header, , table, ...rest] = decode(realBytes) as Uint8Array[];
  t.is(
    codeIn(() => read(encode([header, form.subarray(1), table, ...rest]))),
    'bad_signature_form',
  );
  t.is(
    codeIn(() => read(encode([header, form, table, ...rest.toReversed()]))),
    'payload_mismatch',
  );
});

test('the frame of a sealed block has one form', (t) => {
  const hex = Buffer.from(realBytes).toString('hex');
  const count = decode(realBytes) as unknown[];
  t.is(hex.slice(0, 2), (0x80 + count.length).toString(16));
  const body = hex.slice(2);
  const tails = [
    `98${count.length.toString(16).padStart(2, '0')}${body}`,
    `9f${body}ff`,
    `${hex}00`,
  ];
  const headLength = real.headerBytes.length.toString(16).padStart(4, '0');
  t.true(body.startsWith(`59${headLength}`));
  tails.push(`${hex.slice(0, 2)}5a0000${headLength}${body.slice(6)}`);
  tails.push(hex.slice(0, -2), (0x80 + count.length + 1).toString(16) + body);
  tails.push((0x80 + count.length - 1).toString(16) + body, `a0${body}`, `c0${hex}`);
  for (const tail of tails) {
    t.is(
      codeIn(() => read(Uint8Array.fromHex(tail))),
      'not_canonical',
      tail.slice(0, 20),
    );
  }
});

test('a block of another committee or epoch, or for another chain, is foreign', (t) => {
  const smaller = new Committee(0, committee.validators.slice(0, 3));
  const next = new Committee(1, committee.validators);
  t.is(
    codeIn(() => decodeBlock(realBytes, chain.id, smaller)),
    'foreign_committee',
  );
  t.is(
    codeIn(() => decodeBlock(realBytes, chain.id, next)),
    'foreign_committee',
  );
  t.is(
    codeIn(() => decodeBlock(realBytes, OTHER, committee)),
    'foreign_chain',
  );
});

test('any mutated byte is refused with a code, or its signature does not fit', async (t) => {
  const engine = await loadEngine('liboqs');
  const verified = (block: Block): boolean =>
    [blockJob(block, committee), ...entryJobs(block, committee, () => false).jobs].every((job) =>
      engine.verify(job),
    );
  t.true(verified(read(realBytes)));
  const change = fc.record({
    at: fc.nat({ max: realBytes.length - 1 }),
    by: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(change, ({ at: i, by }) => {
      const bytes = realBytes.with(i, (realBytes[i] as number) ^ by);
      const code = codeIn(() => read(bytes));
      if (code !== 'none') return !code.startsWith('not coded');
      return equalBytes(encodeBlock(read(bytes)), bytes) && !verified(read(bytes));
    }),
    { numRuns: 1500 },
  );
  // every byte of the header, where a change can make another valid header
  const headerAt = Buffer.from(realBytes).indexOf(real.headerBytes);
  for (let i = headerAt; i < headerAt + real.headerBytes.length; i++) {
    const bytes = realBytes.with(i, (realBytes[i] as number) ^ 1);
    const code = codeIn(() => read(bytes));
    if (code === 'none') t.false(verified(read(bytes)), `byte ${i}`);
    else t.false(code.startsWith('not coded'), code);
  }
});

test('a header decodes to what encodes to the same bytes, with and without a vote', async (t) => {
  const vote = { index: 7, id: OTHER };
  const voted = await sealBlock({ ...draft, vote }, [], [], author.signer);
  const header: Header = decodeHeader(voted.headerBytes, chain.id, committee);
  t.deepEqual(header.vote, vote);
  t.deepEqual(header.parents, draft.parents);
  t.is(decodeHeader(real.headerBytes, chain.id, committee).vote, undefined);
});

test('the table for entries is sorted and whole; a key that is not held is an error', async (t) => {
  const keyOf = (id: string): Uint8Array | undefined =>
    net.operators.find(({ actor }) => actor === id)?.coseKey;
  t.deepEqual(keysFor(entries, 1, committee, keyOf), keys);
  t.deepEqual(
    keysFor([entries[3] as Entry], 1, committee, () => undefined),
    [],
  );
  t.is(
    codeIn(() => keysFor(entries, 1, committee, () => undefined)),
    'unknown_key',
  );
  const sign1 = await sign(author.signer, 'event', (entries[0] as Entry).eventBytes);
  const wrong = { ...(entries[0] as Entry), sign1 };
  const engine = await loadEngine('liboqs');
  const block = { ...real, entries: [wrong] };
  const { jobs, indexes } = entryJobs(block, committee, () => false);
  t.deepEqual(indexes, [0]);
  t.false(
    jobs.some((job) => engine.verify(job)),
    'signed by another key than the event names',
  );
});
