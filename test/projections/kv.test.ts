import test from 'ava';
import * as fc from 'fast-check';
import { Kinds } from '#ledger/kinds.ts';
import { encodeEvent } from '#ledger/event.ts';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX, kv } from '#projections/kv.ts';
import { decodeRow, genesisSchema, readKey, schema } from '#projections/index.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { HandFold, ada, bob, put } from '#test/ledger/fold-support.ts';

/** Keys and values: the last writer in final order wins, or fails as it asked to. */

const remove = (seq: number, key: string, more: object = {}) =>
  put(ada, seq, key, { kind: 'kv.delete/1', body: { key, ...more } });
const set = (seq: number, key: string, value: number, more: object = {}) =>
  put(ada, seq, key, { body: { key, value: Uint8Array.of(value), ...more } });
const read = (hand: HandFold, key: string) => readKey(hand.fold.reducer.rowsOf('kv'), key);

test('a key holds the last value with its number, time, actor and type', (t) => {
  const hand = new HandFold();
  hand.apply(
    [
      [
        set(1, 'a', 1),
        put(bob, 1, 'a', { body: { key: 'a', value: Uint8Array.of(2), type: 'x/y' } }),
      ],
    ],
    CREATED_MS + 9,
  );
  const entry = read(hand, 'a');
  t.deepEqual(
    { ...entry, value: Uint8Array.from(entry?.value ?? []) },
    { key: 'a', value: Uint8Array.of(2), type: 'x/y', seq: 2, ts_ms: CREATED_MS + 9, actor: bob },
  );
  hand.apply([[set(2, 'a', 3)]]);
  t.false('type' in (read(hand, 'a') ?? {}), 'the type goes with the value');
  t.is(read(hand, 'b'), undefined);
});

test('a deleted key is gone; deleting again is no error', (t) => {
  const hand = new HandFold();
  t.deepEqual(hand.verdicts([set(1, 'a', 1), remove(2, 'a'), remove(3, 'a')]), [
    'applied',
    'applied',
    'applied',
  ]);
  t.is(read(hand, 'a'), undefined);
  const empty = new HandFold();
  empty.apply([[]]);
  const root = (one: HandFold) =>
    one.fold.summary().projections.find(({ name }) => name === 'kv')?.root;
  t.is(root(hand), root(empty), 'nothing of it is left in the digest');
});

test('ifSeq compares with the last change, 0 with no key', (t) => {
  const hand = new HandFold();
  t.deepEqual(
    hand.verdicts([
      set(1, 'a', 1, { ifSeq: 0 }),
      set(2, 'a', 2, { ifSeq: 0 }),
      set(3, 'a', 3, { ifSeq: 1 }),
      set(4, 'a', 4, { ifSeq: 1 }),
      remove(5, 'a', { ifSeq: 1 }),
      remove(6, 'a', { ifSeq: 3 }),
      remove(7, 'a', { ifSeq: 0 }),
      set(8, 'a', 5, { ifSeq: 0 }),
    ]),
    [
      'applied',
      'kv_precondition',
      'applied',
      'kv_precondition',
      'kv_precondition',
      'applied',
      'applied',
      'applied',
    ],
  );
  t.is(read(hand, 'a')?.seq, 8);
});

test('bodies have bounds in bytes, and an event has room for the largest', (t) => {
  const kinds = new Kinds(kv.kinds);
  const ok = (body: object): boolean => kinds.check('kv.put/1', body as never) === undefined;
  const value = Uint8Array.of(1);
  t.true(ok({ key: 'x'.repeat(KEY_BYTES_MAX), value }));
  t.false(ok({ key: 'x'.repeat(KEY_BYTES_MAX + 1), value }));
  t.true(ok({ key: 'ä'.repeat(KEY_BYTES_MAX / 2), value }));
  t.false(ok({ key: 'ä'.repeat(KEY_BYTES_MAX / 2 + 1), value }));
  t.false(ok({ key: '', value }));
  t.false(ok({ key: 1, value }));
  t.true(ok({ key: 'a', value: new Uint8Array(VALUE_BYTES_MAX) }));
  t.false(ok({ key: 'a', value: new Uint8Array(VALUE_BYTES_MAX + 1) }));
  t.false(ok({ key: 'a', value: [1] }));
  t.false(ok({ key: 'a' }));
  t.false(ok({ value }));
  t.false(ok({ key: 'a', value, ifSeq: -1 }));
  t.false(ok({ key: 'a', value, type: 'x'.repeat(129) }));
  t.false(ok({ key: 'a', value, more: 1 }));
  t.is(kinds.check('kv.delete/1', { key: 'a', value }), 'bad_body');
  t.is(kinds.check('kv.move/1', { key: 'a' }), 'unknown_kind');
  t.true(kinds.explain('kv.put/1', { key: 'a' }).length > 4);
  const body = {
    key: 'x'.repeat(KEY_BYTES_MAX),
    value: new Uint8Array(VALUE_BYTES_MAX),
    type: 'x'.repeat(128),
    ifSeq: 9,
  };
  t.notThrows(() => encodeEvent({ ...put(ada, 1, 'a').event, body, notAfter_ms: 1, deps: [] }));
});

test('any sequence of puts and deletes is what a plain map says', (t) => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'ä'),
    value: fc.option(fc.nat({ max: 255 }), { nil: undefined }),
    ifSeq: fc.option(fc.nat({ max: 6 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const model = new Map<string, { value: number; seq: number }>();
      const hand = new HandFold();
      for (const [i, { key, value, ifSeq }] of steps.entries()) {
        const more = ifSeq === undefined ? {} : { ifSeq };
        const [verdict] = hand.verdicts([
          value === undefined ? remove(i, key, more) : set(i, key, value, more),
        ]);
        const fits = ifSeq === undefined || ifSeq === (model.get(key)?.seq ?? 0);
        if (verdict !== (fits ? 'applied' : 'kv_precondition')) return false;
        if (!fits) continue;
        if (value === undefined) model.delete(key);
        else model.set(key, { value, seq: i + 1 });
      }
      return ['a', 'b', 'ä'].every((key) => {
        const entry = read(hand, key);
        const wanted = model.get(key);
        return entry?.value[0] === wanted?.value && entry?.seq === wanted?.seq;
      });
    }),
    { numRuns: 60 },
  );
  t.pass();
});

test('a stored row reads as the key does', async (t) => {
  const hand = new HandFold();
  hand.apply([[set(1, 'a', 1)]]);
  await hand.write();
  const row = hand.store.get('s/kv/a');
  t.deepEqual(row && decodeRow('a', row), read(hand.restarted(), 'a'));
});

test('the genesis lists what runs, sorted', (t) => {
  const { kinds, projections } = genesisSchema();
  t.deepEqual(kinds, [...kinds].toSorted());
  const names = projections.map(([name]) => name);
  t.deepEqual(names, names.toSorted());
  t.deepEqual(
    names,
    schema.projections.map(({ name }) => name),
  );
  t.true(schema.projections.includes(schema.members));
});
