import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { envelope, run, x0t } from '#test/cli/support.ts';
import type { Ran } from '#test/cli/support.ts';
import { sleep } from '#test/p2p/support.ts';
import { fetchAs } from '#test/support/fetch-as.ts';
import { reasonToSkip, SmallDisk } from './disks.ts';

/** A disk that is full, and one that breaks, end a node cleanly; what it acknowledged is there. */

const reason = reasonToSkip();
const VALUE = Buffer.alloc(40_000, 'v');
const PUTS_MAX = 2000;
/** Is sent to nobody: `kill` with it only looks. */
const NO_SIGNAL = 0 as unknown as NodeJS.Signals;

interface Started {
  readonly url: string;
  /** How it ended; asks it to end when it has not after 80 s. */
  readonly ended: () => Promise<Ran>;
}

async function startOn(t: ExecutionContext, { path }: SmallDisk): Promise<Started> {
  const { first, stop } = await run(t, path, 'start', '--json', '--data', 'd', '--log', 'silent');
  const { url } = JSON.parse(first) as { url: string };
  const ended = async (): Promise<Ran> => {
    for (let i = 0; i < 200; i++) {
      const isUp = await fetch(`${url}/livez`).then(({ ok }) => ok, () => false);
      if (!isUp) break;
      await sleep(100);
    }
    // the answers end before the process does; signal 0 asks for nothing
    const late = delay(60_000, undefined, { ref: false }).then(() => stop('SIGKILL'));
    return Promise.race([stop(NO_SIGNAL), late]);
  };
  return { url, ended };
}

/** Writes until the node takes no more; returns the ids that it acknowledged and the last code. */
async function fill(
  url: string,
  directory: string,
): Promise<{ readonly ids: string[]; readonly code: string }> {
  const ids: string[] = [];
  for (let i = 0; i < PUTS_MAX; i++) {
    try {
      const answer = await fetchAs(directory, `${url}/v1/kv/k${i}`, {
        method: 'PUT',
        body: VALUE,
      });
      const { id, code = '' } = (await answer.json()) as { id: string; code?: string };
      if (!answer.ok) return { ids, code };
      ids.push(id);
    } catch {
      return { ids, code: 'gone' };
    }
  }
  return { ids, code: 'it never ended' };
}

async function untilAllFinal(
  url: string,
  directory: string,
  ids: readonly string[],
): Promise<string[]> {
  let open: readonly string[] = ids;
  for (let i = 0; i < 600 && open.length > 0; i++) {
    const states = await Promise.all(
      open.map(async (id) => {
        const answer = await fetchAs(directory, `${url}/v1/events/${id}`);
        return ((await answer.json()) as { state?: string }).state;
      }),
    );
    open = open.filter((_, at) => states[at] !== 'final');
    if (open.length > 0) await sleep(100);
  }
  return [...open];
}

/** Fills the disk with a node's store until the node ends; `mend` makes room again. */
async function fillAndMend(
  t: ExecutionContext,
  disk: SmallDisk,
  mend: () => Promise<void> | void,
): Promise<void> {
  const made = await x0t(disk.path, 'init', '--data', 'd', '--api-port', '0', '--p2p-port', '0');
  t.is(made.code, 0, made.stderr);
  const directory = join(disk.path, 'd');
  const node = await startOn(t, disk);
  const { ids, code } = await fill(node.url, directory);
  t.true(['store_failed', 'stopping', 'gone'].includes(code), code);
  t.true(ids.length > 20, `${ids.length} were acknowledged`);
  const end = await node.ended();
  t.is(end.code, 5, end.stderr);
  t.is(envelope(end).code, 'store_failed');
  t.log(`${ids.length} writes acknowledged; then: ${envelope(end).message}`);

  await mend();
  const again = await startOn(t, disk);
  const open = await untilAllFinal(again.url, directory, ids);
  t.deepEqual(open, [], 'all that was acknowledged is final');
  const after = `${again.url}/v1/kv/after?wait=final`;
  const put = await fetchAs(directory, after, { method: 'PUT', body: 'more' });
  t.is(put.status, 200);
}

if (reason !== undefined) {
  test.skip(`a full or broken disk ends a node cleanly: ${reason}`, () => {});
} else {
  test.serial('a full disk ends a node with its code; with room again all is there', async (t) => {
    const disk = new SmallDisk(28);
    t.teardown(() => disk.remove());
    const filler = join(disk.path, 'filler');
    writeFileSync(filler, Buffer.alloc(12 * 1024 * 1024));
    await fillAndMend(t, disk, async () => {
      // LevelDB may find room by itself as it opens: then the node goes on
      const start = ['start', '--data', 'd', '--log', 'silent', '--json'];
      const outcome = await run(t, disk.path, ...start).then(
        async ({ stop }) => `started: ${(await stop()).code}`,
        (error: Error) => error.message,
      );
      t.regex(outcome, /"code":"store_failed"|^started: [05]$/);
      rmSync(filler);
    });
  });

  test.serial('a disk that fails ends a node with its code; repaired, all is there', async (t) => {
    const disk = new SmallDisk(200, 24);
    t.teardown(() => disk.remove());
    await fillAndMend(t, disk, () => disk.repair());
  });
}
