import test from 'ava';
import { Overlay } from '#ledger/rows.ts';

/** A store that counts how often it is asked. */
function counted(rows: ReadonlyMap<string, Uint8Array>) {
  const asked = new Map<string, number>();
  return {
    asked: (key: string) => asked.get(key) ?? 0,
    get(key: string) {
      asked.set(key, (asked.get(key) ?? 0) + 1);
      return rows.get(key);
    },
  };
}

const bytes = (length: number, fill = 1): Uint8Array => new Uint8Array(length).fill(fill);

test("a validator's row, which holds its key, is read from the store once", (t) => {
  const base = counted(new Map<string, Uint8Array>([['s/members/actor', bytes(2200)]]));
  const overlay = new Overlay(base);
  for (let i = 0; i < 10; i++) t.is(overlay.get('s/members/actor')?.length, 2200);
  t.is(overlay.get('s/members/nobody'), undefined);
  t.is(overlay.get('s/members/nobody'), undefined);
  t.is(base.asked('s/members/actor'), 1);
  t.is(base.asked('s/members/nobody'), 1);
});

test('what is kept at hand follows the changes', (t) => {
  const rows = new Map<string, Uint8Array>([['s/kv/a', bytes(1)]]);
  const overlay = new Overlay(counted(rows));
  t.deepEqual(overlay.get('s/kv/a'), bytes(1));
  const write = () => {
    for (const op of overlay.ops()) {
      if (op.type === 'put') rows.set(op.key, op.value);
      else rows.delete(op.key);
    }
    overlay.written();
  };
  for (const value of [bytes(5, 2), undefined, bytes(9000, 3), bytes(7, 4)]) {
    if (value) overlay.put('s/kv/a', value);
    else overlay.remove('s/kv/a');
    t.deepEqual(overlay.get('s/kv/a'), value);
    write();
    t.deepEqual(overlay.get('s/kv/a'), value);
  }
});

test('it keeps no more than 8 MiB, and no long rows', (t) => {
  const rows = new Map<string, Uint8Array>();
  for (let i = 0; i < 3000; i++) rows.set(`s/kv/${i}`, bytes(4096));
  rows.set('s/kv/long', bytes(4097));
  const base = counted(rows);
  const overlay = new Overlay(base);
  for (const key of rows.keys()) overlay.get(key);
  overlay.get('s/kv/long');
  t.is(base.asked('s/kv/long'), 2);
  for (const key of [...rows.keys()].toReversed()) overlay.get(key);
  const kept = [...rows].filter(([key]) => key !== 's/kv/long' && base.asked(key) === 1);
  t.true(kept.length > 0 && kept.length <= 2048, `${kept.length}`);
});
