import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { NodeConfig } from '#node/config.ts';
import { dataPaths } from '#node/data-dir.ts';
import { IdleSockets } from '#test/support/idle-sockets.ts';
import { DrivenNode, makeNet, untilFinal, untilMeshed } from '#test/support/processes.ts';

/** A thousand connections from one address, to each port of a node, keep nobody else out. */

const COUNT = 1000;

async function write(node: DrivenNode, key: string): Promise<number> {
  const from_ms = performance.now();
  const answer = await node.fetch(`/v1/kv/${key}?wait=final`, { method: 'PUT', body: 'v' });
  if (answer.status !== 200) throw new Error(await answer.text());
  return performance.now() - from_ms;
}

test('a thousand idle connections to each port leave room for others and end', async (t) => {
  t.timeout(120_000);
  const base = await mkdtemp(join(tmpdir(), 'x0t-sockets-'));
  const directories = await makeNet(base, 2, []);
  const nodes: DrivenNode[] = [];
  const [toApi, toPeers] = [new IdleSockets(), new IdleSockets()];
  t.teardown(async () => {
    for (const sockets of [toApi, toPeers]) sockets.close();
    await Promise.all(nodes.map((node) => node.stop()));
    await rm(base, { recursive: true, force: true });
  });
  for (const directory of directories.slice(0, 2)) nodes.push(await DrivenNode.start(directory));
  await untilMeshed(nodes);
  const [first] = nodes as [DrivenNode, DrivenNode];
  await write(first, 'before');
  const text = await readFile(dataPaths(first.directory).config, 'utf8');
  const { p2p } = JSON.parse(text) as NodeConfig;
  const peerPort = Number(/tcp\/(\d+)/.exec(p2p.listen[0] ?? '')?.[1]);

  await toApi.open(Number(new URL(first.url).port), COUNT);
  await toPeers.open(peerPort, COUNT);
  await sleep(500);
  const held = { api: toApi.openCount, peers: toPeers.openCount };
  t.true(held.api > 100 && held.api <= 684, `${held.api} to the API`);
  t.true(held.peers <= 64, `${held.peers} to the port for peers`);
  const took_ms = await write(first, 'meanwhile');
  t.log(`of ${COUNT}: ${held.api} and ${held.peers} held; a write took ${took_ms.toFixed(0)} ms`);
  t.true(took_ms < 3000, `${took_ms} ms`);

  const observer = await DrivenNode.start(directories[2] as string);
  nodes.push(observer);
  await untilFinal([observer], 2, 20);
  await untilMeshed(nodes);
  t.true((await first.report()).peers >= 2, 'a new peer got in');
  for (let i = 0; i < 300 && toApi.openCount + toPeers.openCount > 0; i++) await sleep(100);
  t.deepEqual([toApi.openCount, toPeers.openCount], [0, 0], 'who says nothing is cut off');
});
