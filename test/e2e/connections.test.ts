import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { NodeConfig } from '#node/config.ts';
import { dataPaths } from '#node/data-dir.ts';
import { IdleSockets } from '#test/support/idle-sockets.ts';
import {
  DrivenNode, makeNet, untilFinal, untilMeshed, untilSeen,
} from '#test/support/processes.ts';

/** A thousand connections from one address, to each port of a node, keep nobody else out. */

const COUNT = 1000;
/** After five seconds idle ones are ended. */
const HELD_MS = 4000;
const WRITE_MS = 3000;
/** Of a machine that holds this process up meanwhile. */
const TRIES = 5;

async function write(node: DrivenNode, key: string): Promise<number> {
  const from_ms = performance.now();
  const answer = await node.fetch(`/v1/kv/${key}?wait=final`, { method: 'PUT', body: 'v' });
  if (answer.status !== 200) throw new Error(await answer.text());
  return performance.now() - from_ms;
}

test('a thousand idle connections to each port leave room for others and end', async (t) => {
  t.timeout(300_000);
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

  const crowd = async () => {
    const from_ms = performance.now();
    for (const sockets of [toApi, toPeers]) sockets.close();
    await toApi.open(Number(new URL(first.url).port), COUNT);
    await toPeers.open(peerPort, COUNT);
    const { api, peers } = await untilSeen('the bounds of both ports', async () => {
      const now = { api: toApi.openCount, peers: toPeers.openCount };
      return now.api <= 684 && now.peers <= 64 && now;
    });
    const held_ms = performance.now() - from_ms;
    return { api, peers, held_ms, took_ms: await write(first, 'meanwhile') };
  };
  let found = await crowd();
  for (let i = 1; i < TRIES && (found.held_ms > HELD_MS || found.took_ms > WRITE_MS); i++) {
    found = await crowd();
  }
  const { api, peers, took_ms } = found;
  t.log(`of ${COUNT}: ${api} and ${peers} held; a write took ${took_ms.toFixed(0)} ms`);
  t.true(api > 100, `${api} to the API`);
  t.true(took_ms < WRITE_MS, `${took_ms} ms`);

  const observer = await DrivenNode.start(directories[2] as string);
  nodes.push(observer);
  await untilFinal([observer], 2, 90);
  await untilMeshed(nodes);
  t.true((await first.report()).peers >= 2, 'a new peer got in');
  const isOver = async (): Promise<boolean> => toApi.openCount + toPeers.openCount === 0;
  await t.notThrowsAsync(untilSeen('who says nothing is cut off', isOver));
});
