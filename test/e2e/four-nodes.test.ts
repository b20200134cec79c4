import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import {
  DrivenNode, makeNet, untilFinal, untilMeshed, untilSame, untilSeen,
} from '#test/support/processes.ts';

/**
 * The promises of the network of four, with real processes on loopback and the HTTP API: one log
 * everywhere, nothing acknowledged lost over `kill -9`, no finality without a quorum, one order
 * after a partition heals.
 */

interface Net {
  readonly base: string;
  readonly directories: readonly string[];
  readonly nodes: DrivenNode[];
}

async function startNet(count = 4): Promise<Net> {
  const base = await mkdtemp(join(tmpdir(), 'x0t-e2e-'));
  const directories = await makeNet(base, count, []);
  const nodes: DrivenNode[] = [];
  for (const one of directories.slice(0, count)) nodes.push(await DrivenNode.start(one));
  await untilMeshed(nodes);
  return { base, directories, nodes };
}

async function endNet({ base, nodes }: Net): Promise<void> {
  await Promise.all(nodes.map((node) => node.stop()));
  await rm(base, { recursive: true, force: true });
}

async function put(node: DrivenNode, key: string, value: string): Promise<string> {
  const answer = await node.fetch(`/v1/kv/${key}`, {
    method: 'PUT',
    body: value,
    headers: { 'content-type': 'text/plain' },
  });
  const body = (await answer.json()) as { id: string; code?: string };
  if (answer.status !== 202) throw new Error(`PUT answered ${answer.status} ${body.code}`);
  return body.id;
}

async function get(node: DrivenNode, key: string, level: string): Promise<string | undefined> {
  const answer = await node.fetch(`/v1/kv/${key}?level=${level}`);
  return answer.status === 200 ? answer.text() : undefined;
}

async function status(node: DrivenNode): Promise<NodeStatus> {
  return (await (await node.fetch('/v1/status')).json()) as NodeStatus;
}

/** The ids of the whole final log. */
async function log(node: DrivenNode): Promise<string[]> {
  const ids: string[] = [];
  for (;;) {
    const answer = await node.fetch(`/v1/log?from=${ids.length + 1}&limit=1000`);
    const { events } = (await answer.json()) as { events: { id: string }[] };
    if (events.length === 0) return ids;
    ids.push(...events.map(({ id }) => id));
  }
}

interface Load {
  /** Events that were acknowledged so far. */
  readonly count: number;
  /** Ends it; returns the ids that were acknowledged. */
  stop(): Promise<string[]>;
}

/** Puts one key after the other until told to stop. */
function load(node: DrivenNode, name: string): Load {
  const ids: string[] = [];
  const stopping = new AbortController();
  const done = (async () => {
    for (let i = 0; !stopping.signal.aborted && i < 5000; i++) {
      try {
        ids.push(await put(node, `${name}/${i % 50}`, `${name} ${i}`));
      } catch {
        await sleep(50);
      }
    }
  })();
  return {
    get count() {
      return ids.length;
    },
    async stop() {
      stopping.abort();
      await done;
      return ids;
    },
  };
}

test.serial('writes on every node become final in one order with one state', async (t) => {
  const net = await startNet();
  try {
    const ids: string[] = [];
    for (let i = 0; i < 20; i++) {
      for (const [n, node] of net.nodes.entries()) {
        ids.push(await put(node, `from-${n}/${i}`, `value ${i}`));
      }
    }
    await untilFinal(net.nodes, ids.length, 90);
    const stati = await untilSame(net.nodes);
    const logs = await Promise.all(net.nodes.map(log));
    for (const one of logs) t.deepEqual(one, logs[0]);
    t.deepEqual((logs[0] ?? []).toSorted(), ids.toSorted());
    t.is(await get(net.nodes[0] as DrivenNode, 'from-3/19', 'final'), 'value 19');
    t.is(new Set(stati.map(({ stateRoot }) => stateRoot)).size, 1);
    t.is(new Set(stati.map(({ logRoot }) => logRoot)).size, 1);

    const sealed = async () => {
      const reports = await Promise.all(net.nodes.map((node) => node.report()));
      return reports.map(({ blocksSealed }) => blocksSealed).join();
    };
    // the last blocks of the load may still be under way
    const isIdle = async (): Promise<boolean> => {
      const before = await sealed();
      await sleep(2000);
      return (await sealed()) === before;
    };
    let looks = 1;
    while (looks < 20 && !(await isIdle())) looks += 1;
    t.true(await isIdle(), 'an idle network seals nothing');
  } finally {
    await endNet(net);
  }
});

test.serial(
  'kill -9 under load loses nothing that was acknowledged and doubles nothing',
  async (t) => {
    const net = await startNet();
    try {
      const loads = net.nodes.map((node, n) => load(node, `k${n}`));
      const written = async (all: readonly Load[], count: number): Promise<void> => {
        const counts = all.map((one) => one.count + count);
        await untilSeen('all write', async () =>
          all.every((one, i) => one.count >= (counts[i] ?? 0)));
      };
      await sleep(1500);
      await written(loads, 5);
      await net.nodes[3]?.kill();
      await sleep(2000);
      await written(loads.slice(0, 3), 5);
      net.nodes[3] = await DrivenNode.start(net.directories[3] as string);
      const reborn = load(net.nodes[3], 'again');
      await sleep(2000);
      await written([...loads, reborn], 5);
      const ids = (await Promise.all([...loads, reborn].map((one) => one.stop()))).flat();
      t.true(ids.length > 50);
      await untilFinal(net.nodes, ids.length, 120);
      // what was not acknowledged before the kill may become final, too
      await t.notThrowsAsync(untilSame(net.nodes));
      const logs = await Promise.all(net.nodes.map(log));
      for (const one of logs) t.deepEqual(one, logs[0]);
      const final = new Set(logs[0]);
      t.is(final.size, (logs[0] ?? []).length, 'no event stands in the log twice');
      t.deepEqual(
        ids.filter((id) => !final.has(id)),
        [],
        'every acknowledged event is final',
      );
    } finally {
      await endNet(net);
    }
  },
);

test.serial(
  'two and two accept and do not finalise; healed, all is final in one order',
  async (t) => {
    const net = await startNet();
    try {
      const [a, b, c, d] = net.nodes as [DrivenNode, DrivenNode, DrivenNode, DrivenNode];
      await put(a, 'before', 'the cut');
      await untilFinal(net.nodes, 1, 90);
      for (const node of [a, b]) await node.ask({ type: 'block', peers: [c.peer, d.peer] });
      for (const node of [c, d]) await node.ask({ type: 'block', peers: [a.peer, b.peer] });
      await sleep(1000);
      const left = await Promise.all(
        [a, b].flatMap((node, n) => [0, 1, 2].map((i) => put(node, `left/${n}/${i}`, 'l'))),
      );
      const right = await Promise.all(
        [c, d].flatMap((node, n) => [0, 1, 2].map((i) => put(node, `right/${n}/${i}`, 'r'))),
      );
      await sleep(3000);
      const isCut = async () => !(await status(a)).quorumReachable;
      await t.notThrowsAsync(untilSeen('it knows that no quorum is there', isCut));
      const has = async () => (await get(b, 'left/0/0', 'accepted')) === 'l';
      await t.notThrowsAsync(untilSeen('the other node of the side has it', has));
      for (const node of net.nodes) t.is((await status(node)).finalSeq, 1, 'none finalises');
      t.is(await get(a, 'left/0/0', 'final'), undefined);
      t.is(await get(a, 'right/0/0', 'accepted'), undefined, 'the other side has not');
      for (const node of net.nodes) await node.ask({ type: 'block', peers: [] });
      await untilFinal(net.nodes, 1 + left.length + right.length, 120);
      await t.notThrowsAsync(untilSame(net.nodes));
      const logs = await Promise.all(net.nodes.map(log));
      for (const one of logs) t.deepEqual(one, logs[0]);
      t.deepEqual(
        [...left, ...right].filter((id) => !logs[0]?.includes(id)),
        [],
      );
    } finally {
      await endNet(net);
    }
  },
);
