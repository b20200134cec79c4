import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { COSE_KEY_BYTES } from '#ledger/cose.ts';
import type { NodeConfig } from '#node/config.ts';
import { dataPaths } from '#node/data-dir.ts';
import { IdleSockets } from '#test/support/idle-sockets.ts';
import { DrivenNode, untilMeshed } from '#test/support/processes.ts';
import type { LoadJob, LoadResult, Target } from './load-process.ts';
import { UNLIMITED, ended, finalTimes, percentiles, prepare, targetOf } from './measures.ts';
import type { Load, Percentiles } from './measures.ts';
import type { BenchContext } from './sections.ts';

/** Honest traffic with and without somebody who asks for too much, in one run. */

/** The abuser sends from here, everybody else from 127.0.0.1. */
const ABUSER = '127.0.0.2';
/** The honest load: a tenth of what the nodes can take. */
const HONEST_SHARE = 10;
/** What the abuser has ready to send, against the honest load. */
const FLOOD_FACTOR = 15;
const IDLE_SOCKETS = 1000;
const SETTLE_MS = 60_000;
/** Where a signature lies from the end of a submission, whose last part is the key. */
const IN_SIGNATURE = COSE_KEY_BYTES + 100;

interface Honest {
  readonly offeredPerSecond: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly final: number;
  readonly acknowledged_ms: Percentiles;
  readonly final_ms: Percentiles;
}

interface Parts {
  readonly context: BenchContext;
  readonly load: Load;
  /** The same network's load by one actor, who floods. */
  readonly flooder: Load;
  readonly seconds: number;
  readonly perSecond: number;
}

/** Every kind of abuse by its name, between two runs without any. */
export async function abuse(context: BenchContext): Promise<Record<string, unknown>> {
  const all = context.load as Load;
  const { plan } = context;
  const parts: Parts = {
    context,
    load: { ...all, actors: all.actors.slice(1) },
    flooder: { ...all, actors: all.actors.slice(0, 1), runs: 1000 },
    seconds: plan.shortSeconds / 2,
    perSecond: plan.perSecond / HONEST_SHARE,
  };
  const results: Record<string, unknown> = {};
  for (const [name, run] of Object.entries(KINDS)) {
    results[name] = await run(parts);
    context.say(`  ${name}: ${JSON.stringify(results[name])}`);
  }
  return results;
}

const KINDS: Readonly<Record<string, (parts: Parts) => Promise<object>>> = {
  nobody: (parts) => honest(parts, () => undefined),

  async floodingMember(parts) {
    const file = await prepare(parts.flooder, floodCount(parts));
    return withFlood(parts, file);
  },

  async forgedSignatures(parts) {
    const file = await prepare(parts.flooder, floodCount(parts));
    spoil(file);
    return withFlood(parts, file);
  },

  async idleConnections(parts) {
    const [node] = parts.context.nodes as [DrivenNode];
    const config = JSON.parse(readFileSync(dataPaths(node.directory).config, 'utf8')) as NodeConfig;
    const peerPort = Number(/tcp\/(\d+)/.exec(config.p2p.listen[0] ?? '')?.[1]);
    const sockets = new IdleSockets();
    await sockets.open(Number(new URL(node.url).port), IDLE_SOCKETS);
    await sockets.open(peerPort, IDLE_SOCKETS);
    // those that are too many are closed at once
    await sleep(500);
    const held = sockets.openCount;
    const result = await honest(parts, () => undefined);
    sockets.close();
    return { ...result, abuser: { opened: 2 * IDLE_SOCKETS, held } };
  },

  /** A peer whose process is halted: its links stay open, and it reads nothing. */
  async haltedPeer(parts) {
    const { nodes, directories } = parts.context;
    const peer = await DrivenNode.start(directories?.at(-1) as string, UNLIMITED);
    await untilMeshed([...nodes, peer]).catch(() => undefined);
    peer.signal('SIGSTOP');
    const result = await honest(parts, () => undefined);
    await peer.kill();
    return result;
  },

  nobodyAgain: (parts) => honest(parts, () => undefined),
};

function floodCount({ perSecond, seconds }: Parts): number {
  return Math.round(perSecond * seconds * FLOOD_FACTOR);
}

/** Changes one byte in every signature of a prepared file. */
function spoil(file: string): void {
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 36 + bytes.readUInt32BE(at);
    bytes[end - IN_SIGNATURE] = (bytes[end - IN_SIGNATURE] ?? 0) ^ 1;
    at = end;
  }
  writeFileSync(file, bytes);
}

async function withFlood(parts: Parts, file: string): Promise<object> {
  const out = `${file}.json`;
  const job = { file, from: 0, count: floodCount(parts), perSecond: 1e6, localAddress: ABUSER };
  let flood: ChildProcess | undefined;
  const result = await honest(parts, (targets) => {
    flood = startLoad({ ...job, nodes: targets, out });
  });
  if (flood && flood.exitCode === null) await ended(flood);
  const { accepted, refused, seconds } = JSON.parse(readFileSync(out, 'utf8')) as LoadResult;
  const sentPerSecond = Math.round(job.count / seconds);
  return { ...result, abuser: { sent: job.count, sentPerSecond, accepted, refused } };
}

function startLoad(job: LoadJob): ChildProcess {
  return fork(new URL('load-process.ts', import.meta.url), [JSON.stringify(job)]);
}

/** The honest load, with `abuser` started just before it. */
async function honest(
  { context: { nodes }, load, perSecond, seconds }: Parts,
  abuser: (targets: readonly Target[]) => void,
): Promise<Honest> {
  const count = Math.round(perSecond * seconds);
  const file = await prepare(load, count);
  const out = `${file}.json`;
  const targets = nodes.map(targetOf);
  abuser(targets);
  await ended(startLoad({ nodes: targets, file, from: 0, count, perSecond, out }));
  const { accepted, refused, events } = JSON.parse(readFileSync(out, 'utf8')) as LoadResult;
  await untilNothingPends(nodes);
  const finals = await finalTimes(nodes, file);
  const latencies = events.flatMap(([id, node, sent_ms]) => {
    const final_ms = finals[node]?.get(id);
    return final_ms === undefined ? [] : final_ms - sent_ms;
  });
  return {
    offeredPerSecond: perSecond,
    accepted,
    refused,
    final: latencies.length,
    acknowledged_ms: percentiles(events.map(([, , sent_ms, ack_ms]) => ack_ms - sent_ms)),
    final_ms: percentiles(latencies),
  };
}

async function untilNothingPends(nodes: readonly DrivenNode[]): Promise<void> {
  const end_ms = performance.now() + SETTLE_MS;
  for (;;) {
    const reports = await Promise.all(nodes.map((node) => node.report()));
    if (reports.every(({ pending }) => pending === 0) || performance.now() > end_ms) return;
    await sleep(100);
  }
}
