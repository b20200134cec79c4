import test from 'ava';
import { Committee } from '#ledger/committee.ts';
import { entryOf } from '#ledger/event.ts';
import type { HeldKey, Self } from '#ledger/held-keys.ts';
import type { Orderer } from '#ledger/orderer.ts';
import { Pool } from '#ledger/pool.ts';
import { pendingOps, readPending } from '#ledger/pool-store.ts';
import { settleInstalled } from '#ledger/snapshot/bare.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { freshKey } from '#test/support/rotations.ts';
import { seededActor, seededNet } from '#test/support/seeded-actor.ts';

/** What a node's bare events are after a snapshot, then and after a restart. */

const net = seededNet(1);
const ada = seededActor('bare');
const other = seededActor('bare, another');
const next = freshKey('bare');
const LIMITS = { events_max: 10, bytes_max: 100_000, eventsPerActor_max: 10 };

interface Case {
  /** The key by which it sits in the snapshot's committee. */
  readonly seat?: HeldKey;
  readonly self?: Self;
  readonly hasForgotten?: boolean;
  readonly hadForgotten?: boolean;
}

/** What waits of one bare event that a store kept: at once, and after a restart. */
async function after({ seat, self = ada, hasForgotten = false, hadForgotten = false }: Case) {
  const event = {
    chain: net.chain.id,
    actor: ada.actor,
    lane: 0,
    seq: 0,
    kind: 'kv.put/1',
    body: { key: 'a', value: new Uint8Array(1) },
    hlc: [0, 0] as const,
  };
  const bare = { entry: entryOf(event, undefined), coseKey: undefined, isOwn: true, due_ms: 0 };
  const store = new MemoryStore();
  await store.write(pendingOps(bare, () => false));
  const pool = new Pool(LIMITS);
  pool.restore(bare);
  const seated = seat ? { actor: ada.actor, coseKey: seat.coseKey } : other;
  const committee = new Committee(1, [
    { actor: seated.actor, coseKey: seated.coseKey, peer: 'peer-0', stake: 1 },
  ]);
  const restored = { pool, orderer: { committee } as unknown as Orderer, hasForgotten };
  await store.write(await settleInstalled(restored, self, store, hadForgotten));
  const form = (one: { entry: { sign1?: unknown }; coseKey: unknown }): string =>
    one.entry.sign1 ? (one.coseKey ? 'signed' : 'signed, without its key') : 'bare';
  const kept = [];
  for await (const one of readPending(store)) kept.push(form(one));
  return { waiting: [...pool.values()].map(form), kept };
}

test('a node that seals with the key that they name carries them bare', async (t) => {
  t.deepEqual(await after({ seat: ada }), { waiting: ['bare'], kept: ['bare'] });
});

test('without a seat, or with one that it cannot fill, it signs them', async (t) => {
  const signed = { waiting: ['signed'], kept: ['signed'] };
  t.deepEqual(await after({}), signed, 'no seat');
  t.deepEqual(await after({ seat: next }), signed, 'a key that it does not hold');
  const self = { ...ada, otherKey: () => next };
  t.deepEqual(await after({ seat: next, self }), signed, 'another key');
  t.deepEqual(await after({ seat: ada, hasForgotten: true }), signed, 'the snapshot knows more');
  t.deepEqual(await after({ seat: ada, hadForgotten: true }), signed, 'its store was lost');
});

test('those whose key it does not hold any more are forgotten, in the store as well', async (t) => {
  const self = { ...ada, coseKey: next.coseKey, signer: next.signer };
  t.deepEqual(await after({ seat: next, self }), { waiting: [], kept: [] });
  t.deepEqual(await after({ self }), { waiting: [], kept: [] });
});
