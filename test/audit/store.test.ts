import test from 'ava';
import { formCertificate, signCheckpoint } from '#ledger/certificate.ts';
import { CheckpointStore } from '#ledger/checkpoint-store.ts';
import { keyId } from '#ledger/cose.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import { auditStore } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
import { smallLog } from '#test/support/chain-builder.ts';
import { makeActor, makeNet } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { MemoryStore } from '#test/support/memory-store.ts';

/** An audit of a data directory compares every row that a node derives or keeps. */

const builder = await smallLog(await makeNet(4, 2));
const [ann] = builder.net.operators as [TestActor];
await builder.keepPending(await builder.event(ann, 9), ann);

// as the node would keep it once the others have signed too
const held = await CheckpointStore.read(builder.store);
for (const checkpoint of held.own) {
  const votes = await Promise.all(
    builder.net.validators.map(({ signer }, author) => signCheckpoint(checkpoint, author, signer)),
  );
  const certificate = formCertificate(checkpoint, votes, builder.net.chain.committee);
  if (certificate) await new CheckpointStore(builder.store, held).keep(certificate);
}

const audit = (store: MemoryStore) => auditStore(store, { schema, workers: 1 });

test('the untouched store passes', async (t) => {
  const report = await audit(builder.store);
  t.true(report.ok, JSON.stringify(report.finding));
  t.deepEqual(report.summary, builder.summary);
});

/** The rows of each kind, and the codes that a change or a loss may have. */
const KINDS: readonly (readonly [prefix: string, lossCodes: readonly string[]])[] = [
  ['a/format', ['store_corrupt']],
  ['a/genesis', ['store_corrupt']],
  ['a/hash/kv', ['audit_state_differs', 'store_corrupt']],
  ['a/hash/replay', ['audit_state_differs', 'store_corrupt']],
  ['a/fold', ['audit_row_differs', 'audit_commit_missing', 'audit_state_differs']],
  ['b/', ['audit_missing_parent', 'audit_commit_missing', 'store_corrupt']],
  ['c/', ['audit_row_differs']],
  ['e/', ['audit_row_differs']],
  ['f/', ['audit_row_differs']],
  ['h/own/', ['audit_row_differs']],
  ['k/', ['store_corrupt']],
  ['s/', ['audit_row_differs']],
  ['w/', ['audit_row_differs']],
];

/** Only a change can be seen of these: a node may have none. */
const CHANGED_ONLY = ['a/own', 'p/', 'a/cuts', 'h/cert/'];

async function rowsOf(prefix: string): Promise<readonly string[]> {
  if (builder.store.get(prefix)) return [prefix];
  const keys: string[] = [];
  for await (const [key] of builder.store.range(prefixRange(prefix))) keys.push(key);
  return keys;
}

for (const prefix of [...KINDS.map(([kind]) => kind), ...CHANGED_ONLY]) {
  test.serial(`a changed byte in a row ${prefix} is found`, async (t) => {
    const keys = await rowsOf(prefix);
    t.true(keys.length > 0);
    const picked = [keys[0], keys[keys.length >> 1], keys.at(-1)];
    for (const [i, key] of picked.entries()) {
      const store = new MemoryStore(builder.store.rows);
      const value = Uint8Array.from(store.get(key as string) as Uint8Array);
      const at = Math.floor((value.length * (i + 0.5)) / picked.length);
      value[at] = (value[at] as number) ^ (1 << i);
      store.rows.set(key as string, value);
      const { finding } = await audit(store);
      t.truthy(finding, `${key} at ${at}`);
      t.is(typeof finding?.place.kind, 'string');
      const isNamed = JSON.stringify(finding?.place).includes(key as string);
      if (!prefix.startsWith('a/')) t.true(isNamed, JSON.stringify(finding));
    }
  });
}

for (const [prefix, codes] of KINDS) {
  test.serial(`a lost row ${prefix} is found`, async (t) => {
    const [key] = await rowsOf(prefix);
    const store = new MemoryStore(builder.store.rows);
    store.rows.delete(key as string);
    const { finding } = await audit(store);
    t.true(codes.includes(finding?.code ?? ''), `${key}: ${JSON.stringify(finding)}`);
  });
}

test.serial('a row that the log does not give is found', async (t) => {
  const { size } = builder.summary;
  const [final] = await rowsOf('f/');
  const [commit] = await rowsOf('c/');
  const [seq] = await rowsOf('e/');
  const copy = (key: string | undefined) => builder.store.get(key ?? '') as Uint8Array;
  const surplus: readonly (readonly [string, Uint8Array])[] = [
    [storeKeys.final(size + 1), copy(final)],
    [storeKeys.commit(1000), copy(commit)],
    [storeKeys.finalOfEvent('ab'.repeat(32)), copy(seq)],
    [storeKeys.row('kv', 'smuggled'), new Uint8Array(8)],
    [storeKeys.lane('ab'.repeat(32), 0), new Uint8Array(136)],
  ];
  for (const [key, value] of surplus) {
    const store = new MemoryStore(builder.store.rows);
    store.rows.set(key, value);
    const { finding } = await audit(store);
    t.is(finding?.code, 'audit_row_differs', key);
    t.is(finding?.place.row, key);
  }
});

test.serial('a stored block under the name of another is found', async (t) => {
  const keys = await rowsOf('b/');
  const [one, other] = [keys[4] as string, keys[5] as string];
  const store = new MemoryStore(builder.store.rows);
  store.rows.set(one, store.get(other) as Uint8Array);
  const { finding } = await audit(store);
  t.is(finding?.code, 'car_cid_mismatch');
  t.is(finding?.place.row, one);
});

test.serial('a swapped key is found though its form is right', async (t) => {
  const stranger = await makeActor();
  const [key] = await rowsOf('k/');
  const store = new MemoryStore(builder.store.rows);
  store.rows.set(key as string, stranger.coseKey);
  const { finding } = await audit(store);
  t.is(finding?.code, 'store_corrupt');
  t.is(finding?.place.row, key);
  t.not(keyId(stranger.coseKey), key?.slice(2));
});

test.serial('a store of another network than the pinned one is found', async (t) => {
  const options = { schema, workers: 1, genesis: '11'.repeat(32) };
  const { finding } = await auditStore(builder.store, options);
  t.is(finding?.code, 'audit_other_network');
});
