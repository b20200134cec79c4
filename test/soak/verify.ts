import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '#node/api/index.ts';
import { auditStore } from '#node/audit/index.ts';
import type { AuditReport } from '#node/audit/index.ts';
import { openChain } from '#ledger/chain.ts';
import { dataPaths } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';
import { schema } from '#projections/index.ts';
import type { Seat } from './seats.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** What must hold when the faults are over. */

const POLL_MS = 200;
const PAGE = 1000;
const REQUEST_MS_MAX = 30_000;
/** Alarms that no crash and no cut may raise. */
const FORBIDDEN_ALARMS = new Set(['two_certificates', 'equivocation', 'store_forgotten']);

async function ask<T>({ url, directory }: Seat, path: string): Promise<T> {
  const signal = AbortSignal.timeout(REQUEST_MS_MAX);
  return (await (await fetchAs(directory, `${url}${path}`, { signal })).json()) as T;
}

export const statusOf = (seat: Seat): Promise<NodeStatus> => ask(seat, '/v1/status');

/** A node's final log as its API tells it, read on as it grows. */
export class LogCopy {
  readonly ids: string[] = [];
  readonly known = new Set<string>();
  /** Ids that stand in it more than once. */
  readonly doubled: string[] = [];
  readonly #seat: Seat;

  constructor(seat: Seat) {
    this.#seat = seat;
  }

  async readOn(): Promise<void> {
    for (;;) {
      const path = `/v1/log?from=${this.ids.length + 1}&limit=${PAGE}`;
      const { events } = await ask<{ events: { id: string }[] }>(this.#seat, path);
      for (const { id } of events) {
        if (this.known.has(id)) this.doubled.push(id);
        this.known.add(id);
        this.ids.push(id);
      }
      if (events.length < PAGE) return;
    }
  }

  lacks(ids: Iterable<string>): string[] {
    return [...ids].filter((id) => !this.known.has(id));
  }
}

export interface Settled {
  readonly logs: readonly LogCopy[];
  /** What the nodes said last, at one moment: they may author reports of their own at any time. */
  readonly stati: readonly NodeStatus[];
  /** Acknowledged events that some node did not have as final when the faults ended. */
  readonly openAtHeal: number;
  /** Until the last of them was final on the last node. */
  readonly lastFinal_ms: number;
  readonly isInTime: boolean;
}

/** Waits until all nodes hold all of these events as final, and no others are pending. */
export async function untilSettled(
  seats: readonly Seat[],
  acknowledged: ReadonlySet<string>,
  wait_ms: number,
): Promise<Settled> {
  const start_ms = performance.now();
  const logs = seats.map((seat) => new LogCopy(seat));
  let openAtHeal: number | undefined;
  let lastFinal_ms = 0;
  for (;;) {
    await Promise.all(logs.map((log) => log.readOn()));
    const open = new Set(logs.flatMap((log) => log.lacks(acknowledged)));
    const elapsed_ms = performance.now() - start_ms;
    openAtHeal ??= open.size;
    if (open.size > 0) lastFinal_ms = elapsed_ms;
    const stati = await Promise.all(seats.map(statusOf));
    const isQuiet =
      stati.every(({ pending }) => pending === 0) &&
      new Set(stati.map(({ finalSeq }) => finalSeq)).size === 1 &&
      stati[0]?.finalSeq === logs[0]?.ids.length;
    const isDone = open.size === 0 && isQuiet;
    if (isDone || elapsed_ms > wait_ms) {
      return { logs, stati, openAtHeal, lastFinal_ms: Math.round(lastFinal_ms), isInTime: isDone };
    }
    await sleep(POLL_MS);
  }
}

/** What is wrong between the nodes, in sentences; empty when all agree. */
export function differences(
  { logs, stati, isInTime }: Settled,
  acknowledged: ReadonlySet<string>,
): string[] {
  const found: string[] = [];
  if (!isInTime) found.push('the nodes did not settle in time');
  const [first] = logs;
  for (const [i, log] of logs.entries()) {
    const lost = log.lacks(acknowledged);
    if (lost.length > 0) found.push(`node ${i} lacks ${lost.length} acknowledged: ${lost[0]}`);
    if (log.doubled.length > 0) found.push(`node ${i} has ${log.doubled.length} events twice`);
    const at = log.ids.findIndex((id, seq) => id !== first?.ids[seq]);
    if (at >= 0) found.push(`the logs of nodes 0 and ${i} differ from ${at + 1} on`);
  }
  for (const name of ['logRoot', 'stateRoot', 'summaryHash'] as const) {
    const values = new Set(stati.map((status) => status[name]));
    if (values.size > 1) found.push(`${name} differs: ${[...values].join(' ')}`);
  }
  for (const [i, { alarms }] of stati.entries()) {
    for (const { code } of alarms) {
      if (FORBIDDEN_ALARMS.has(code)) found.push(`node ${i} raises ${code}`);
    }
  }
  return found;
}

/** Replays the store of a node that was stopped. */
export async function auditOf({ directory }: Seat): Promise<AuditReport> {
  const paths = dataPaths(directory);
  const store = await LevelStore.open(paths.store);
  try {
    return await auditStore(store, { schema, genesis: openChain(readFileSync(paths.genesis)).id });
  } finally {
    await store.close();
  }
}
