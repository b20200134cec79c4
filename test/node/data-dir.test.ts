import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { claimForRunning, dataPaths } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';
import { makeNet } from '#test/support/cluster.ts';

/** A store that was deleted is not taken for that of a new node. */

test('a deleted store is noticed, then and at every later start', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'x0t-data-'));
  const { chain } = await makeNet(1);
  const paths = dataPaths(directory);
  const claim = async (): Promise<boolean> => {
    const store = await LevelStore.open(paths.store);
    try {
      return await claimForRunning(store, chain, paths.claimed);
    } finally {
      await store.close();
    }
  };
  try {
    t.true(await claim());
    t.true(await claim());
    await rm(paths.store, { recursive: true });
    t.false(await claim());
    t.false(await claim());
  } finally {
    await rm(directory, { recursive: true });
  }
});
