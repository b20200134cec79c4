import { fork } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openChain } from '#ledger/chain.ts';
import type { Id } from '#ledger/ports.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import type { PartialConfig } from '#node/config.ts';
import { dataPaths } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';
import type { LoadResult, Target } from './load-process.ts';
import { untilFinal } from '#test/support/processes.ts';
import type { DrivenNode } from '#test/support/processes.ts';
import { presign } from './presign.ts';
import type { LoadActor } from './presign.ts';

/** Load for one network: actors, and the next sequence number that none of them has used. */
export interface Load {
  readonly directory: string;
  readonly chain: Id;
  readonly actors: readonly LoadActor[];
  nextSeq: number;
  runs: number;
}

export async function loadOf(
  directory: string,
  node: string,
  actors: readonly LoadActor[],
): Promise<Load> {
  const chain = openChain(readFileSync(dataPaths(node).genesis)).id;
  return { directory, chain, actors, nextSeq: 0, runs: 0 };
}

/** Signs `count` events and writes them to a file for the load process. */
export async function prepare(load: Load, count: number): Promise<string> {
  const signed = await presign(load.chain, load.actors, count, load.nextSeq);
  load.nextSeq += Math.ceil(count / load.actors.length);
  const parts = signed.flatMap(({ id, body }) => {
    const head = Buffer.alloc(36);
    head.writeUInt32BE(body.length);
    head.write(id, 4, 'hex');
    return [head, body];
  });
  const file = join(load.directory, `load-${(load.runs += 1)}.bin`);
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

export interface Sustained {
  readonly offeredPerSecond: number;
  readonly seconds: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly final: number;
  /** Final events over the time from the first send to the last finality. */
  readonly finalPerSecond: number;
  readonly acknowledged_ms: Percentiles;
  readonly final_ms: Percentiles;
  readonly sameHash: boolean;
  readonly blocksPerSecond: number;
  readonly cpuShareOfACorePerNode: readonly number[];
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What a load process needs to know of a node. */
export function targetOf({ url, directory }: DrivenNode): Target {
  return { url, tokenFile: tokenFile(directory, 'operator') };
}

/** Measured nodes answer as fast as they can: the load is one caller. */
export const UNLIMITED: PartialConfig = {
  api: { rate: { perSecond: 1_000_000, burst: 1_000_000 } },
};

/**
 * Sends client-signed events over HTTP to all nodes in turn, and waits until they are final
 * everywhere.
 */
export async function sendLoad(
  nodes: readonly DrivenNode[],
  load: Load,
  perSecond: number,
  seconds: number,
): Promise<Sustained> {
  const count = Math.round(perSecond * seconds);
  const file = await prepare(load, count);
  const before = await Promise.all(nodes.map((node) => node.report()));
  const sizeBefore = Math.max(...before.map(({ size }) => size));
  const out = `${file}.json`;
  const job = { nodes: nodes.map(targetOf), file, from: 0, count, perSecond, out };
  await ended(fork(new URL('load-process.ts', import.meta.url), [JSON.stringify(job)]));
  const result = JSON.parse(readFileSync(out, 'utf8')) as LoadResult;
  const after = await untilFinal(nodes, sizeBefore + result.accepted, 120);
  const finals = await finalTimes(nodes, file);
  const latencies: number[] = [];
  let last_ms = 0;
  let first_ms = Number.POSITIVE_INFINITY;
  for (const [id, node, sent_ms] of result.events) {
    const final_ms = finals[node]?.get(id);
    if (final_ms === undefined) continue;
    latencies.push(final_ms - sent_ms);
    last_ms = Math.max(last_ms, final_ms);
    first_ms = Math.min(first_ms, sent_ms);
  }
  const took_s = (last_ms - first_ms) / 1000;
  const blocks = after.reduce(
    (sum, report, i) => sum + report.blocksSealed - (before[i]?.blocksSealed ?? 0),
    0,
  );
  return {
    offeredPerSecond: perSecond,
    seconds: rounded(took_s),
    accepted: result.accepted,
    refused: result.refused,
    final: latencies.length,
    finalPerSecond: Math.round(latencies.length / took_s),
    acknowledged_ms: percentiles(result.events.map(([, , sent_ms, ack_ms]) => ack_ms - sent_ms)),
    final_ms: percentiles(latencies),
    sameHash: new Set(after.map(({ hash }) => hash)).size === 1,
    blocksPerSecond: Math.round(blocks / took_s),
    cpuShareOfACorePerNode: after.map((report, i) =>
      rounded((report.cpu_us - (before[i]?.cpu_us ?? 0)) / 1e6 / took_s),
    ),
  };
}

export async function finalTimes(
  nodes: readonly DrivenNode[],
  file: string,
): Promise<readonly Map<string, number>[]> {
  return Promise.all(
    nodes.map(async (node, i) => {
      const finals = `${file}.finals-${i}.json`;
      await node.ask({ type: 'finals', file: finals });
      return new Map(JSON.parse(readFileSync(finals, 'utf8')) as [string, number][]);
    }),
  );
}

/** One event every 400 ms: each finds the network quiet. */
export async function isolatedLatency(
  nodes: readonly DrivenNode[],
  load: Load,
  count: number,
): Promise<object> {
  const file = await prepare(load, count);
  const latencies: number[] = [];
  const job = {
    nodes: nodes.map(targetOf),
    file,
    from: 0,
    count,
    perSecond: 2.5,
    out: `${file}.json`,
  };
  await ended(fork(new URL('load-process.ts', import.meta.url), [JSON.stringify(job)]));
  const { events } = JSON.parse(readFileSync(job.out, 'utf8')) as LoadResult;
  await sleep(500);
  const finals = await finalTimes(nodes, file);
  for (const [id, node, sent_ms] of events) {
    const final_ms = finals[node]?.get(id);
    if (final_ms !== undefined) latencies.push(final_ms - sent_ms);
  }
  return { sent: events.length, final: latencies.length, final_ms: percentiles(latencies) };
}

/** Events that the nodes author themselves, all together at this rate. */
export async function authored(
  nodes: readonly DrivenNode[],
  perSecond: number,
  seconds: number,
  keys?: number,
): Promise<object> {
  const before = await Promise.all(nodes.map((node) => node.report()));
  const sizeBefore = Math.max(...before.map(({ size }) => size));
  const command = {
    type: 'author',
    perSecond: perSecond / nodes.length,
    seconds,
    valueBytes: 32,
    ...(keys !== undefined && { keys }),
  } as const;
  const results = (await Promise.all(nodes.map((node) => node.ask(command)))) as {
    sent: number;
    failed: number;
    seconds: number;
    latencies: number[];
  }[];
  const sent = results.reduce((sum, one) => sum + one.sent, 0);
  const final = results.reduce((sum, one) => sum + one.latencies.length, 0);
  const after = await untilFinal(nodes, sizeBefore + final, 120);
  const took_s = Math.max(...results.map((one) => one.seconds));
  const blocks = after.reduce(
    (sum, report, i) => sum + report.blocksSealed - (before[i]?.blocksSealed ?? 0),
    0,
  );
  await finalTimes(nodes, join(nodes[0]?.directory ?? '', 'authored'));
  return {
    offeredPerSecond: perSecond,
    seconds: rounded(took_s),
    sent,
    failed: results.reduce((sum, one) => sum + one.failed, 0),
    final,
    finalPerSecond: Math.round(final / took_s),
    final_ms: percentiles(results.flatMap((one) => one.latencies)),
    sameHash: new Set(after.map(({ hash }) => hash)).size === 1,
    blocksPerSecond: Math.round(blocks / took_s),
    cpuShareOfACorePerNode: after.map((report, i) =>
      rounded((report.cpu_us - (before[i]?.cpu_us ?? 0)) / 1e6 / took_s),
    ),
  };
}

/** The store's files after compaction, per final event. */
export async function bytesOnDisk(directory: string, events: number): Promise<object> {
  const path = dataPaths(directory).store;
  const store = await LevelStore.open(path);
  await store.compact();
  await store.close();
  const bytes = readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  return { events, bytes, bytesPerEvent: Math.round(bytes / events) };
}

export function ended(child: ReturnType<typeof fork>): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`the load process ended with ${code}`)),
    );
  });
}

export function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
