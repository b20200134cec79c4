import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { claimForRunning, dataPaths } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';
import { makeNet } from '#test/support/cluster.ts';

/** A store that was deleted is not taken for that of a new node. */

interface Claims {
  readonly store: string;
  readonly claim: () => Promise<boolean>;
}

async function claims(t: ExecutionContext): Promise<Claims> {
  const directory = await mkdtemp(join(tmpdir(), 'x0t-data-'));
  t.teardown(() => rm(directory, { recursive: true }));
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
  return { store: paths.store, claim };
}

test('a deleted store is noticed, then and at every later start', async (t) => {
  const { store, claim } = await claims(t);
  t.true(await claim());
  t.true(await claim());
  await rm(store, { recursive: true });
  t.false(await claim());
  t.false(await claim());
});

test('a store set back to a copy from before its last start is noticed', async (t) => {
  const { store, claim } = await claims(t);
  t.true(await claim());
  await cp(store, `${store}.copy`, { recursive: true });
  t.true(await claim());
  await rm(store, { recursive: true });
  await cp(`${store}.copy`, store, { recursive: true });
  t.false(await claim());
  t.false(await claim());
});
