import test from 'ava';
import * as fc from 'fast-check';
import { sealBlock } from '#ledger/block.ts';
import { Committee } from '#ledger/committee.ts';
import { COSE_KEY_BYTES, SIGN1_BYTES, coseKeyOf, keyId, sign1Of } from '#ledger/cose.ts';
import { entryOf } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import { BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, ROUND_MAX } from '#ledger/limits.ts';
import { pickPayload } from '#ledger/payload.ts';
import { Pool } from '#ledger/pool.ts';
import type { Pending, PoolLimits } from '#ledger/pool.ts';
import { pendingOps, readPending } from '#ledger/pool-store.ts';
import { codeIn } from '#test/support/codes.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { ada, bob, net, put } from './fold-support.ts';

const LIMITS: PoolLimits = { events_max: 6, bytes_max: 100_000, eventsPerActor_max: 4 };

const pending = (entry: Entry, more: Partial<Pending> = {}): Pending => ({
  entry,
  coseKey: undefined,
  isOwn: true,
  due_ms: 0,
  ...more,
});
const idsOf = (all: Iterable<Pending>): string[] => [...all].map(({ entry }) => entry.id);

test('an event is taken up once; a slot, an actor and the pool have their bounds', (t) => {
  const pool = new Pool(LIMITS);
  const first = pending(put(ada, 1, 'a'));
  t.true(pool.add(first));
  t.false(pool.add(first));
  t.is(
    codeIn(() => pool.add(pending(put(ada, 1, 'b')))),
    'slot_pending',
  );
  for (const seq of [2, 3, 4]) pool.add(pending(put(ada, seq, 'a')));
  t.is(
    codeIn(() => pool.add(pending(put(ada, 5, 'a')))),
    'actor_quota',
  );
  pool.add(pending(put(bob, 1, 'a')));
  pool.add(pending(put(bob, 2, 'a')));
  t.is(
    codeIn(() => pool.add(pending(put(bob, 3, 'a')))),
    'pool_full',
  );
  t.is(pool.size, 6);
  pool.remove(first.entry.id);
  pool.remove(put(ada, 2, 'a').id);
  t.is(
    codeIn(() => pool.add(pending(put(ada, 1, 'b')))),
    'none',
    'its slot and room are free',
  );
  const small = new Pool({ ...LIMITS, bytes_max: first.entry.bytes.length });
  t.true(small.add(first));
  t.is(
    codeIn(() => small.add(pending(put(bob, 1, 'a')))),
    'pool_full',
  );
});

test("a key that was rotated away takes nothing of its owner's room", (t) => {
  const pool = new Pool({ ...LIMITS, events_max: 40 });
  // the owner has rotated; its old key is in other hands
  const by = (entry: Entry): Entry => entryOf({ ...entry.event, key: bob }, undefined);
  for (const seq of [1, 2, 3, 4]) pool.add(pending(put(ada, seq, 'old')));
  t.is(codeIn(() => pool.add(pending(put(ada, 5, 'old')))), 'actor_quota');
  for (const seq of [1, 2, 3, 4]) pool.add(pending(by(put(ada, seq, 'new'))));
  t.is(codeIn(() => pool.add(pending(by(put(ada, 1, 'other'))))), 'slot_pending');
  t.is(codeIn(() => pool.add(pending(by(put(ada, 5, 'new'))))), 'actor_quota');
  const [first, second] = [...pool.ready(0)];
  t.deepEqual([first, second].map((one) => one?.entry.event.key), [undefined, bob]);
  for (const { entry } of pool.values()) pool.remove(entry.id);
  t.deepEqual([pool.size, pool.bytes, pool.waiting], [0, 0, 0]);
  t.is(codeIn(() => pool.add(pending(put(ada, 1, 'old')))), 'none');
});

test('a refused event leaves no trace', (t) => {
  const pool = new Pool({ ...LIMITS, eventsPerActor_max: 1 });
  pool.add(pending(put(ada, 1, 'a')));
  const before = [pool.size, pool.bytes, pool.version, pool.waiting];
  codeIn(() => pool.add(pending(put(ada, 2, 'a'))));
  codeIn(() => pool.add(pending(put(ada, 1, 'b'))));
  t.deepEqual([pool.size, pool.bytes, pool.version, pool.waiting], before);
});

test('what was promised before is taken up beyond the bounds, once', (t) => {
  const pool = new Pool({ ...LIMITS, events_max: 1 });
  const [first, second] = [pending(put(ada, 1, 'a')), pending(put(ada, 1, 'b'))];
  pool.add(first);
  pool.restore(second);
  pool.restore(second);
  t.deepEqual([pool.size, pool.ownWaiting], [2, 2]);
  t.is(pool.bytes, first.entry.bytes.length + second.entry.bytes.length);
  pool.remove(second.entry.id);
  t.is(
    codeIn(() => pool.add(pending(put(ada, 1, 'c')))),
    'slot_pending',
  );
  pool.remove(first.entry.id);
  t.is(
    codeIn(() => pool.add(pending(put(ada, 1, 'c')))),
    'none',
  );
});

test('own events are ready at once, others when they are due, carried ones never', (t) => {
  const pool = new Pool(LIMITS);
  const other = pending(put(bob, 1, 'a'), { isOwn: false, due_ms: 100 });
  const later = pending(put(bob, 2, 'a'), { isOwn: false, due_ms: 200 });
  const own = pending(put(ada, 1, 'a'));
  for (const one of [later, other, own]) pool.add(one);
  t.is(pool.nextDue_ms(), 100);
  t.deepEqual(idsOf(pool.ready(99)), [own.entry.id]);
  t.deepEqual(idsOf(pool.ready(100)), [own.entry.id, other.entry.id]);
  t.deepEqual(idsOf(pool.ready(200)).toSorted(), idsOf([own, other, later]).toSorted());
  pool.carried(own.entry.id);
  pool.carried(other.entry.id);
  t.is(pool.ownWaiting, 0);
  t.is(pool.waiting, 1);
  t.is(pool.nextDue_ms(), 200);
  t.deepEqual(idsOf(pool.ready(100)), []);
  pool.released(own.entry.id);
  pool.released(other.entry.id);
  t.deepEqual(idsOf(pool.ready(100)), [own.entry.id, other.entry.id]);
  pool.remove(own.entry.id);
  pool.released(own.entry.id);
  t.is(pool.ownWaiting, 0);
  pool.remove(other.entry.id);
  pool.remove(later.entry.id);
  t.deepEqual([pool.size, pool.bytes, pool.waiting, pool.nextDue_ms()], [0, 0, 0, undefined]);
});

test('whatever happens, counts and bytes are those of what is there', (t) => {
  const step = fc.tuple(fc.constantFrom('add', 'carry', 'release', 'remove'), fc.nat({ max: 7 }));
  const entries = Array.from({ length: 8 }, (_, i) => put(i % 2 ? ada : bob, i, `${i}`));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = new Pool(LIMITS);
      const all = new Set<number>();
      const waiting = new Set<number>();
      for (const [what, i] of steps) {
        const entry = entries[i] as Entry;
        if (what === 'add') {
          const code = codeIn(() => pool.add(pending(entry, { isOwn: i < 4 })));
          if (code === 'none' && !all.has(i)) waiting.add(i);
          if (code === 'none') all.add(i);
        }
        if (what === 'carry') pool.carried(entry.id);
        if (what === 'carry') waiting.delete(i);
        if (what === 'release') pool.released(entry.id);
        if (what === 'release' && all.has(i)) waiting.add(i);
        if (what === 'remove') pool.remove(entry.id);
        if (what === 'remove' && all.delete(i)) waiting.delete(i);
      }
      const bytes = [...all].reduce((sum, i) => sum + (entries[i] as Entry).bytes.length, 0);
      const own = [...waiting].filter((i) => i < 4).length;
      return (
        pool.size === all.size &&
        pool.bytes === bytes &&
        pool.waiting === waiting.size &&
        pool.ownWaiting === own
      );
    }),
    { numRuns: 300 },
  );
  t.pass();
});

const form = sign1Of(new Uint8Array(3309));

test('the stored pool is read back with its keys', async (t) => {
  const key = net.operators[0]?.coseKey ?? new Uint8Array();
  const actor = keyId(key);
  const entry = entryOf(put(actor, 1, 'a').event, form);
  const store = new MemoryStore();
  await store.write(pendingOps({ entry, coseKey: key, isOwn: true, due_ms: 5 }, () => false));
  const more = entryOf(put(actor, 2, 'a').event, form);
  const ops = pendingOps({ entry: more, coseKey: key, isOwn: false, due_ms: 5 }, () => true);
  t.is(ops.length, 1, 'a known key is not written again');
  await store.write(ops);
  const found = [];
  for await (const one of readPending(store)) found.push(one);
  t.is(found.length, 2);
  for (const one of found) {
    t.is(one.isOwn, one.entry.id === entry.id);
    t.deepEqual(Uint8Array.from(one.coseKey ?? []), key);
  }
  t.deepEqual(found.map((one) => one.entry.id).toSorted(), [entry.id, more.id].toSorted());
});

test('a picked payload keeps order, and ends at 512 entries', (t) => {
  const many = Array.from({ length: 600 }, (_, i) => pending(put(ada, i, 'a')));
  const { entries, keys } = pickPayload(many, 0, net.chain.committee);
  t.is(entries.length, BLOCK_ENTRIES_MAX);
  t.deepEqual(
    entries,
    many.slice(0, BLOCK_ENTRIES_MAX).map(({ entry }) => entry),
  );
  t.is(keys.size, 0);
});

test("each signer's key is picked once, and never the author's", (t) => {
  const [one, two] = [...net.operators] as [(typeof net.operators)[0], (typeof net.operators)[0]];
  const own = net.validators[0] as typeof one;
  const signed = (who: typeof one, seq: number) =>
    pending(entryOf(put(who.actor, seq, 'a').event, form), { coseKey: who.coseKey });
  const all = [signed(one, 1), signed(two, 1), signed(one, 2), signed(own, 1)];
  const { entries, keys } = pickPayload(all, 0, net.chain.committee);
  t.is(entries.length, 4);
  t.deepEqual([...keys.keys()].toSorted(), [one.actor, two.actor].toSorted());
  const other = pickPayload(all, 1, net.chain.committee);
  t.is(other.keys.size, 3);
});

for (const size of [1, 4, 128]) {
  test(`the fullest payload makes a valid block in a committee of ${size}`, async (t) => {
    const committee = new Committee(
      0,
      Array.from({ length: size }, (_, i) => {
        const coseKey = coseKeyOf(new Uint8Array(1952).fill(i));
        return { actor: keyId(coseKey), coseKey, peer: `p${i}`, stake: 1 };
      }),
    );
    const author = size - 1;
    const { actor } = committee.at(author);
    for (const shape of ['large', 'keys'] as const) {
      const all = Array.from({ length: 300 }, (_, seq): Pending => {
        if (shape === 'large') {
          return pending(
            put(actor, seq, 'a', { body: { value: new Uint8Array(997 + (seq % 5)) } }),
          );
        }
        const coseKey = coseKeyOf(
          new Uint8Array(1952)
            .fill(1)
            .with(0, seq % 256)
            .with(1, seq >> 8),
        );
        return pending(entryOf(put(keyId(coseKey), seq, 'a').event, form), { coseKey });
      });
      const { entries, keys } = pickPayload(all, author, committee);
      t.true(entries.length < all.length, 'it ended at the bytes');
      const draft = {
        chain: 'ff'.repeat(32),
        epoch: 0,
        committee: committee.id,
        round: ROUND_MAX,
        author,
        ts_ms: Number.MAX_SAFE_INTEGER,
        parents: Array.from({ length: size }, (_, i) => ({
          round: ROUND_MAX - 1,
          author: i,
          id: 'ff'.repeat(32),
        })),
        vote: { index: Number.MAX_SAFE_INTEGER, id: 'ff'.repeat(32) },
      };
      const signer = {
        engine: '',
        publicKey: new Uint8Array(),
        sign: async () => new Uint8Array(3309),
      };
      const block = await sealBlock(draft, entries, [...keys.values()], signer);
      t.true(block.bytes <= BLOCK_BYTES_MAX, `${shape}: ${block.bytes}`);
      const next = all[entries.length]?.entry.bytes.length ?? 0;
      const slack = BLOCK_BYTES_MAX - block.bytes;
      t.true(slack < next + COSE_KEY_BYTES + 1024 + SIGN1_BYTES, `${shape}: ${slack} bytes unused`);
    }
  });
}
