import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { summaryHash } from '#ledger/fold.ts';
import { exitCodeOf } from '#node/cli/exit-codes.ts';
import { stopRequest } from '#node/cli/signals.ts';
import type { PartialConfig } from '#node/config.ts';
import { startNode } from '#node/node.ts';

/**
 * A node as `x0t start` runs it, in a process of its own, with three things more for tests and
 * measurements: it notes when each event became final here, authors events by itself at a rate, and
 * puts peers on its deny list. Told what to do over the IPC channel.
 */

export type Command =
  | {
      readonly type: 'author';
      readonly perSecond: number;
      readonly seconds: number;
      readonly valueBytes: number;
      /** Different keys; default 1000. */
      readonly keys?: number;
    }
  | { readonly type: 'finals'; readonly file: string }
  | { readonly type: 'block'; readonly peers: readonly string[] }
  | { readonly type: 'report' };

export interface Report {
  readonly size: number;
  readonly hash: string;
  readonly round: number;
  readonly blocksSealed: number;
  readonly commits: number;
  readonly rss_bytes: number;
  readonly peakRss_bytes: number;
  readonly cpu_us: number;
  readonly pending: number;
  readonly peers: number;
  /** Number of the first final event that is held. */
  readonly from: number;
}

const directory = process.argv[2] as string;
const config = JSON.parse(process.argv[3] ?? '{}') as PartialConfig;
const stop = stopRequest();
const node = await startNode({ directory, config: { log: 'error', ...config } });
const { core } = node;
/** When an event became final here, by id; milliseconds of the machine's monotonic clock. */
const finals = new Map<string, number>();
core.onFinal((events) => {
  const now_ms = machine_ms();
  for (const { entry } of events) finals.set(entry.id, now_ms);
});

/** The same in every process of this machine. */
export function machine_ms(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

let authored = 0;
/**
 * Authors without own signatures, as telemetry does, in steps of 5 ms; returns latencies to final.
 */
async function author({
  perSecond,
  seconds,
  valueBytes,
  keys = 1000,
}: Extract<Command, { type: 'author' }>): Promise<object> {
  const latencies: number[] = [];
  const start_ms = machine_ms();
  const pending: Promise<void>[] = [];
  let failed = 0;
  for (let sent = 0; ;) {
    const elapsed_ms = machine_ms() - start_ms;
    if (elapsed_ms >= seconds * 1000) break;
    for (const due = (elapsed_ms / 1000) * perSecond; sent < due; sent++) {
      pending.push(one(valueBytes, keys, latencies).catch(() => void (failed += 1)));
    }
    await sleep(5);
  }
  const sent = pending.length;
  await Promise.all(pending);
  return {
    sent,
    failed,
    seconds: (machine_ms() - start_ms) / 1000,
    latencies: latencies.toSorted((a, b) => a - b),
  };
}

async function one(valueBytes: number, keys: number, latencies: number[]): Promise<void> {
  const from_ms = machine_ms();
  const key = `n${authored % keys}`;
  authored += 1;
  const entry = await core.author(
    'kv.put/1',
    { key, value: new Uint8Array(valueBytes).fill(authored & 255) },
    false,
  );
  const final = await core.waitFinal(entry.id, 60_000);
  if (!final) throw new Error('not final in a minute');
  latencies.push(machine_ms() - from_ms);
}

function report(): Report {
  const { fold, roundClock, counters, pool } = core.replica;
  const { user, system } = process.cpuUsage();
  return {
    size: fold.size,
    hash: summaryHash(fold.summary()),
    round: roundClock.round,
    blocksSealed: counters.blocksSealed,
    commits: counters.commits,
    rss_bytes: process.memoryUsage.rss(),
    peakRss_bytes: peakRss_bytes(),
    cpu_us: user + system,
    pending: pool.size,
    peers: node.network.peers().length,
    from: core.log.from,
  };
}

/** The kernel's high-water mark. */
function peakRss_bytes(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;
}

process.on('message', (command: Command) => {
  void handle(command).then((answer) => process.send?.({ type: command.type, answer }));
});

async function handle(command: Command): Promise<unknown> {
  switch (command.type) {
    case 'author':
      return author(command);
    case 'finals':
      await writeFile(command.file, JSON.stringify([...finals]));
      finals.clear();
      break;
    case 'block':
      node.network.setBlocked(new Set(command.peers));
      break;
    case 'report':
      return report();
  }
  return undefined;
}

// as `x0t start` ends
void stop.then(() => node.stop());
node.ended.then(
  () => process.exit(0),
  (error: unknown) => process.exit(exitCodeOf(error)),
);
process.send?.({ type: 'ready', answer: { url: node.url, peer: node.network.self } });
