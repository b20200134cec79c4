import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import { submitSigned } from '#node/cli/signing.ts';
import type { Client } from '#node/client.ts';
import { assertNetwork, networkFile, noteNetwork } from '#node/key-network.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';

/** A node says which network it serves; it does not say for which network a key signs. */

const seats = [seededActor('node of key-network')];
const signer = seededActor('operator of key-network');
const own = netOf(seats, [signer], 'production').chain;
const other = netOf(seats, [signer], 'test').chain;

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'x0t-key-network-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

test('the first network is noted, and another one is refused', async (t) => {
  const file = join(await folderOf(t), 'me.key');
  await assertNetwork(file, own.id);
  t.is(await readFile(networkFile(file), 'utf8'), `${textOf(own.id)}\n`);
  await assertNetwork(file, own.id);
  const error = await t.throwsAsync(assertNetwork(file, other.id));
  t.is(codeOf(error), 'key_of_other_network');
  await noteNetwork(file, other.id);
  t.is(codeOf(await t.throwsAsync(assertNetwork(file, other.id))), 'key_of_other_network');
});

test('keys of a data directory are of its network', async (t) => {
  const folder = await folderOf(t);
  await mkdir(join(folder, 'keys'));
  await writeFile(join(folder, 'genesis.cbor'), own.genesisBytes);
  for (const name of ['operator.key', 'keys/later.key']) {
    const file = join(folder, name);
    await assertNetwork(file, own.id);
    t.is(codeOf(await t.throwsAsync(assertNetwork(file, other.id))), 'key_of_other_network');
    t.like(await t.throwsAsync(readFile(networkFile(file))), { code: 'ENOENT' });
  }
});

test('nothing is signed for a network that a node puts in the place of its own', async (t) => {
  const key = { ...signer, file: join(await folderOf(t), 'me.key') };
  await noteNetwork(key.file, own.id);
  const submitted: Uint8Array[] = [];
  const client = {
    genesis: async () => other.genesisBytes,
    submit: async (entry: Uint8Array) => void submitted.push(entry),
  } as unknown as Client;
  const wrote = submitSigned(client, key, 'kv.delete/1', { key: 'a' }, false);
  t.is(codeOf(await t.throwsAsync(wrote)), 'key_of_other_network');
  t.deepEqual(submitted, []);
});
