import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { decodeEntry } from '#ledger/event.ts';
import { ApiError } from '#node/client.ts';
import type { Client } from '#node/client.ts';
import { submitSigned } from '#node/cli/signing.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';

/** Whoever answers says which numbers are taken, and no more than that is believed. */

const signer = seededActor('operator of signing');
const { chain } = netOf([seededActor('node of signing')], [signer], 'signing');

async function answered(code: string, data: Record<string, number>) {
  const folder = await mkdtemp(join(tmpdir(), 'x0t-signing-'));
  const numbers: number[] = [];
  const client = {
    genesis: async () => chain.genesisBytes,
    submit: async (entry: Uint8Array) => {
      numbers.push(decodeEntry(entry).event.seq);
      throw new ApiError(409, { code, message: 'No.', detail: data, requestId: '' });
    },
  } as unknown as Client;
  const key = { ...signer, file: join(folder, 'me.key') };
  let error: unknown;
  try {
    await submitSigned(client, key, 'kv.delete/1', { key: 'a' }, false);
  } catch (thrown) {
    error = thrown;
  }
  await rm(folder, { recursive: true });
  return { code: codeOf(error), numbers };
}

test('a number at the end of the range is not signed', async (t) => {
  const { code, numbers } = await answered('replayed', { highest: Number.MAX_SAFE_INTEGER - 1 });
  t.deepEqual([code, numbers.length], ['replayed', 1]);
});

test('a lane that a fast clock has used goes on after its highest number', async (t) => {
  const highest = Math.floor(Date.now() / 1000) + 2000;
  const { numbers } = await answered('replayed', { highest });
  t.is(numbers[1], highest + 1);
});

test('few events are signed for one that is to be taken', async (t) => {
  const { code, numbers } = await answered('slot_pending', {});
  t.deepEqual([code, new Set(numbers).size], ['slot_pending', 8]);
  t.true((numbers.at(-1) ?? 0) < Date.now() / 1000 + 9 * 256);
});
