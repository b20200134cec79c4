import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { dataPaths } from '#node/data-dir.ts';
import type { SyncMode } from '#ledger/sync/way-up.ts';
import {
  DrivenNode, makeNet, untilActive, untilFinal, untilMeshed,
} from '#test/support/processes.ts';
import { abuse } from './abuse.ts';
import { auditRatio } from './audit-ratio.ts';
import {
  UNLIMITED, authored, bytesOnDisk, isolatedLatency, loadOf, sendLoad,
} from './measures.ts';
import type { Load } from './measures.ts';
import { cutoff } from './cutoff.ts';
import { policyCost } from './policy.ts';
import { makeActors } from './presign.ts';

/** What the bench measures, in order; sections on one network follow each other on it. */

export interface Plan {
  /** Length of the sustained runs. */
  readonly seconds: number;
  readonly shortSeconds: number;
  readonly idleSeconds: number;
  readonly coldEvents: number;
  /** Events of the net that an observer joins by a snapshot; each sets a key of its own node. */
  readonly snapshotEvents: number;
  /** Events that are decided with 200 policies, and with one. */
  readonly policyEvents: number;
  /** Rounds in which a member is cut off and a request refused. */
  readonly cutoffs: number;
  readonly isolated: number;
  /** Client-signed and node-authored events per second at full load of four nodes. */
  readonly perSecond: number;
  readonly authoredPerSecond: number;
  readonly actors: number;
}

export interface BenchContext {
  readonly directory: string;
  readonly plan: Plan;
  readonly say: (line: string) => void;
  readonly results: Record<string, unknown>;
  /** Node processes under way; ended with the bench. */
  nodes: DrivenNode[];
  load?: Load;
  directories?: readonly string[];
}

async function start(context: BenchContext, name: string, count: number): Promise<void> {
  const { plan, directory } = context;
  for (const node of context.nodes) await node.stop();
  context.nodes = [];
  const actors = await makeActors(plan.actors);
  const directories = await makeNet(
    join(directory, name),
    count,
    actors.map(({ actor }) => actor),
  );
  context.directories = directories;
  context.load = await loadOf(join(directory, name), directories[0] as string, actors);
  for (const one of directories.slice(0, count)) {
    context.nodes.push(await DrivenNode.start(one, UNLIMITED));
  }
  await untilMeshed(context.nodes);
}

const loadIn = (context: BenchContext): Load => context.load as Load;

/** Every measurement by its name in the result. */
export const sections: Readonly<Record<string, (context: BenchContext) => Promise<unknown>>> = {
  async oneNode(context) {
    const { plan } = context;
    await start(context, 'one', 1);
    return {
      isolated: await isolatedLatency(context.nodes, loadIn(context), plan.isolated),
      clientSigned: await sendLoad(
        context.nodes,
        loadIn(context),
        plan.perSecond,
        plan.shortSeconds,
      ),
      nodeAuthored: await authored(context.nodes, plan.authoredPerSecond, plan.shortSeconds),
    };
  },

  async fourNodes(context) {
    await start(context, 'four', 4);
    return {
      isolated: await isolatedLatency(context.nodes, loadIn(context), context.plan.isolated),
    };
  },

  async idle({ nodes, plan }) {
    const before = await Promise.all(nodes.map((node) => node.report()));
    await sleep(plan.idleSeconds * 1000);
    const after = await Promise.all(nodes.map((node) => node.report()));
    const blocks = after.reduce(
      (sum, report, i) => sum + report.blocksSealed - (before[i]?.blocksSealed ?? 0),
      0,
    );
    const cpu_us = after.reduce(
      (sum, report, i) => sum + report.cpu_us - (before[i]?.cpu_us ?? 0),
      0,
    );
    return {
      blocksPerMinute: (blocks * 60) / plan.idleSeconds,
      cpuShareOfACorePerNode: round(cpu_us / 1e6 / plan.idleSeconds / nodes.length, 4),
    };
  },

  /** Fills the log that the next two sections read. */
  async fill(context) {
    const { plan } = context;
    return sendLoad(
      context.nodes,
      loadIn(context),
      plan.perSecond,
      plan.coldEvents / plan.perSecond,
    );
  },

  async coldSync(context) {
    await enrol(context);
    const size = Math.min(
      ...(await Promise.all(context.nodes.map((node) => node.report()))).map(
        (report) => report.size,
      ),
    );
    const from_ms = performance.now();
    const observer = await DrivenNode.start(context.directories?.at(-1) as string);
    context.nodes.push(observer);
    const up_ms = performance.now();
    const [report] = await untilFinal([observer], size, 300);
    const seconds = (performance.now() - up_ms) / 1000;
    await observer.stop();
    context.nodes = context.nodes.filter((node) => node !== observer);
    return {
      events: size,
      seconds: round(seconds, 2),
      startSeconds: round((up_ms - from_ms) / 1000, 2),
      eventsPerSecond: Math.round(size / seconds),
      peakRss_MB: mb(report?.peakRss_bytes ?? 0),
    };
  },

  /**
   * Reads the store of a node that is stopped for it: its size after compaction, and the audit of
   * its export.
   */
  async diskAndAudit(context) {
    const node = context.nodes.pop() as DrivenNode;
    const { size } = await node.report();
    await node.stop();
    const disk = await bytesOnDisk(node.directory, size);
    const audit = await auditRatio(node.directory, context.plan.shortSeconds / 4);
    context.nodes.push(await DrivenNode.start(node.directory, UNLIMITED));
    await untilFinal(context.nodes, size, 60);
    return { disk, audit };
  },

  /** Half of the full load first: that is the latency that is promised. */
  async clientSigned(context) {
    const { plan, nodes } = context;
    const half = await sendLoad(nodes, loadIn(context), plan.perSecond / 2, plan.shortSeconds);
    const full = await sendLoad(nodes, loadIn(context), plan.perSecond, plan.seconds);
    return { half, full };
  },

  async memory({ nodes }) {
    const reports = await Promise.all(nodes.map((node) => node.report()));
    return reports.map(({ size, rss_bytes, peakRss_bytes }) => ({
      events: size,
      rss_MB: mb(rss_bytes),
      peakRss_MB: mb(peakRss_bytes),
    }));
  },

  async nodeAuthored({ nodes, plan }) {
    const half = await authored(nodes, plan.authoredPerSecond / 2, plan.shortSeconds);
    const full = await authored(nodes, plan.authoredPerSecond, plan.seconds);
    return { half, full };
  },

  async memoryAfterAll(context) {
    return sections['memory']?.(context);
  },

  /** A fresh observer takes the state, then the same without one: the whole log. */
  async snapshotSync(context) {
    const { plan } = context;
    await start(context, 'snapshot', 1);
    await enrol(context);
    const [node] = context.nodes as [DrivenNode];
    for (let size = 0; size < plan.snapshotEvents; ) {
      const seconds = Math.min(10, (plan.snapshotEvents - size) / plan.authoredPerSecond + 0.1);
      await authored([node], plan.authoredPerSecond, seconds, plan.snapshotEvents);
      ({ size } = await node.report());
    }
    const snapshot = await joined(context, node, 'snapshot');
    const full = await joined(context, node, 'full');
    return { snapshot, full };
  },

  /** One node in this process: events with 200 policies and with one. */
  policy: ({ plan, say }) => policyCost(plan.policyEvents, say),

  /** From the final event to the closed link and the refused request. */
  cutoff: ({ plan, say }) => cutoff(plan.cutoffs, say),

  /** On a network of its own: what members, clients and peers can do to others' traffic. */
  async abuse(context) {
    await start(context, 'abuse', 4);
    return abuse(context);
  },
};

/** The observer becomes a member; what it has learnt of the log meanwhile goes. */
async function enrol(context: BenchContext): Promise<void> {
  const directory = context.directories?.at(-1) as string;
  const observer = await DrivenNode.start(directory);
  context.nodes.push(observer);
  await untilActive(observer);
  await observer.stop();
  context.nodes = context.nodes.filter((node) => node !== observer);
  forget(directory);
}

function forget(directory: string): void {
  rmSync(dataPaths(directory).store, { recursive: true, force: true });
  rmSync(dataPaths(directory).claimed, { force: true });
}

/** How long a fresh observer needs until it has what the node has. */
async function joined(context: BenchContext, node: DrivenNode, sync: SyncMode): Promise<object> {
  const directory = context.directories?.at(-1) as string;
  forget(directory);
  const { size, hash } = await node.report();
  const observer = await DrivenNode.start(directory, { sync });
  context.nodes.push(observer);
  const up_ms = performance.now();
  const [report] = await untilFinal([observer], size, 600);
  const seconds = (performance.now() - up_ms) / 1000;
  await observer.stop();
  context.nodes = [node];
  return {
    events: size,
    heldFrom: report?.from,
    seconds: round(seconds, 2),
    sameState: report?.hash === hash,
    peakRss_MB: mb(report?.peakRss_bytes ?? 0),
    serverPeakRss_MB: mb((await node.report()).peakRss_bytes),
  };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

export function mb(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
