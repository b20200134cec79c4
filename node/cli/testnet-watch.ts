import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '#node/api/status.ts';
import type { NodeProcess } from '#node/node-process.ts';

/** What is shown of one node. Without a status it does not answer. */
export interface NodeLine {
  readonly name: string;
  readonly url: string;
  readonly status?: NodeStatus;
  /** Time from a write on this node until it was final there; none when it did not become final. */
  readonly probe_ms?: number;
  /** Set when its process has ended. */
  readonly exit?: number | string;
}

export interface Watched {
  readonly name: string;
  readonly url: string;
  readonly process: NodeProcess;
}

const PROBE_TIMEOUT_MS = 2000;
const SETTLE_POLL_MS = 200;

/** Asks every node for its status after a write on each of them. */
export function lookAt(nodes: readonly Watched[], isProbing: boolean): Promise<NodeLine[]> {
  return Promise.all(
    nodes.map(async ({ name, url, process }) => {
      if (process.exit) return { name, url, exit: process.exit.reason };
      const probe_ms = isProbing ? await probe(process, name) : undefined;
      const status = await process.client.status().catch(() => undefined);
      return {
        name,
        url,
        ...(status && { status }),
        ...(probe_ms !== undefined && { probe_ms }),
      };
    }),
  );
}

async function probe({ client }: NodeProcess, name: string): Promise<number | undefined> {
  const start_ms = performance.now();
  const value = new TextEncoder().encode(new Date().toISOString());
  try {
    const options = { isFinal: true, timeout_ms: PROBE_TIMEOUT_MS };
    await client.putKv(`probe/${name}`, value, 'text/plain', options);
    return Math.round((performance.now() - start_ms) * 10) / 10;
  } catch {
    return undefined;
  }
}

/** Whether all nodes answer and hold the same final log and state. */
export function areEqual(lines: readonly NodeLine[]): boolean {
  const hashes = new Set(lines.map(({ status }) => status?.summaryHash));
  return hashes.size === 1 && !hashes.has(undefined);
}

/** Waits until all nodes stand alike with nothing pending, at most for a time. */
export async function settle(nodes: readonly Watched[], timeout_ms: number): Promise<NodeLine[]> {
  const end_ms = performance.now() + timeout_ms;
  for (;;) {
    const lines = await lookAt(nodes, false);
    const isQuiet = lines.every(({ status }) => status?.pending === 0);
    if ((areEqual(lines) && isQuiet) || performance.now() > end_ms) return lines;
    await sleep(SETTLE_POLL_MS);
  }
}
