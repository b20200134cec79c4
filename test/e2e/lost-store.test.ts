import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { prefixRange } from '#ledger/keys.ts';
import type { NodeStatus } from '#node/api/index.ts';
import { dataPaths } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';
import {
  DrivenNode, makeNet, untilFinal, untilMeshed, untilSame, untilSeen,
} from '#test/support/processes.ts';

/**
 * A validator whose store was deleted or set back to an old copy follows, says so, and signs no
 * second block for any slot: nobody holds two of one.
 */

/** Four nodes of which one is lost and replaced by what `tamper` leaves of its store. */
interface Story {
  readonly directories: readonly string[];
  readonly nodes: DrivenNode[];
  /** Node 3's store. */
  readonly store: string;
  /** Writes on all nodes that are up; resolves when all of them have them as final. */
  readonly write: (count: number) => Promise<void>;
}

async function startStory(t: ExecutionContext): Promise<Story> {
  const base = await mkdtemp(join(tmpdir(), 'x0t-lost-'));
  const directories = (await makeNet(base, 4, [])).slice(0, 4);
  const nodes: DrivenNode[] = [];
  t.teardown(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await rm(base, { recursive: true, force: true });
  });
  for (const directory of directories) nodes.push(await DrivenNode.start(directory));
  await untilMeshed(nodes);
  let written = 0;
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      for (const node of nodes) {
        const answer = await node.fetch(`/v1/kv/k${written}`, { method: 'PUT', body: 'v' });
        t.is(answer.status, 202);
        written += 1;
      }
    }
    await untilFinal(nodes, written, 90);
  };
  return { directories, nodes, store: dataPaths(directories[3] as string).store, write };
}

async function statusOf(node: DrivenNode): Promise<NodeStatus> {
  return (await (await node.fetch('/v1/status')).json()) as NodeStatus;
}

/** Node 3 comes back, is written to, restarts, and only follows all the time. */
async function onlyFollows(t: ExecutionContext, story: Story): Promise<void> {
  const { nodes, directories, write } = story;
  for (let start = 0; start < 2; start++) {
    const node = await DrivenNode.start(directories[3] as string);
    nodes[3] = node;
    await untilMeshed(nodes);
    await write(5);
    await sleep(500);
    const status = await statusOf(node);
    t.is((await node.report()).blocksSealed, 0);
    t.true(status.alarms.some(({ code }) => code === 'store_forgotten'));
    t.true(status.limitations.some((text) => text.includes('lost or set back')));
    t.is(status.role, 'observer');
    await node.stop();
  }
  nodes.pop();
  for (const { alarms } of await untilSame(nodes)) t.deepEqual(alarms, []);
  await Promise.all(nodes.map((node) => node.stop()));
  const bySlot = new Map<string, Set<string>>();
  for (const directory of directories) {
    const store = await LevelStore.open(dataPaths(directory).store);
    for await (const [key] of store.range(prefixRange('b/'))) {
      const [, round, author, id] = key.split('/') as [string, string, string, string];
      const slot = `${round}/${author}`;
      bySlot.set(slot, (bySlot.get(slot) ?? new Set()).add(id));
    }
    await store.close();
  }
  t.true(bySlot.size > 20, `${bySlot.size} slots`);
  const twins = [...bySlot].filter(([, ids]) => ids.size > 1);
  t.deepEqual(twins, [], 'no slot has two blocks on any node');
}

test.serial('a validator whose store was deleted only follows', async (t) => {
  const story = await startStory(t);
  await story.write(5);
  await story.nodes[3]?.kill();
  await rm(story.store, { recursive: true });
  await onlyFollows(t, story);
});

test.serial('a validator whose store was set back to an old copy only follows', async (t) => {
  const story = await startStory(t);
  const { nodes, directories, store, write } = story;
  await write(3);
  await nodes[3]?.stop();
  await cp(store, `${store}.copy`, { recursive: true });
  nodes[3] = await DrivenNode.start(directories[3] as string);
  await untilMeshed(nodes);
  await write(5);
  await nodes[3].kill();
  await rm(store, { recursive: true });
  await cp(`${store}.copy`, store, { recursive: true });
  await onlyFollows(t, story);
});

test.serial('a copy that no count tells from the store is known by what peers hold', async (t) => {
  const story = await startStory(t);
  const { nodes, directories, store, write } = story;
  const { claimed } = dataPaths(directories[3] as string);
  await write(3);
  await nodes[3]?.stop();
  for (const one of [store, claimed]) await cp(one, `${one}.copy`, { recursive: true });
  nodes[3] = await DrivenNode.start(directories[3] as string);
  await untilMeshed(nodes);
  await write(5);
  await nodes[3].kill();
  for (const one of [store, claimed]) {
    await rm(one, { recursive: true });
    await cp(`${one}.copy`, one, { recursive: true });
  }
  const node = await DrivenNode.start(directories[3] as string);
  nodes[3] = node;
  await untilMeshed(nodes);
  await write(3);
  const isKnown = async () =>
    (await statusOf(node)).alarms.some(({ code }) => code === 'store_forgotten');
  await t.notThrowsAsync(untilSeen('it knows what it lost', isKnown));
  t.is((await node.report()).blocksSealed, 0);
  await node.stop();
  await onlyFollows(t, story);
});
