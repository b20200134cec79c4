import type { ExecutionContext } from 'ava';
import type { TestActor } from './cluster.ts';
import { areIn } from './epochs.ts';
import { SimCluster } from './sim-cluster.ts';
import type { Rows, SimOptions } from './sim-cluster.ts';

/** Power cuts at any moment around a change of the committee. */

/** The slots in which two different blocks stand, over all stores; rounds count per epoch. */
export function doubledSlots(stores: readonly Rows[]): string[] {
  const ids = new Map<string, Set<string>>();
  for (const rows of stores) {
    for (const [key] of rows) {
      if (!key.startsWith('b/')) continue;
      const slot = key.slice(0, -64);
      ids.set(slot, (ids.get(slot) ?? new Set()).add(key));
    }
  }
  return [...ids].filter(([, found]) => found.size > 1).map(([slot]) => slot);
}

/**
 * The power of one node fails twelve times, `pause_ms` after it came back, while others write: adds
 * the ids of their events. Returns what the node held before each cut.
 */
export async function cutAgain(
  cluster: SimCluster,
  victim: number,
  pause_ms: number,
  ids: string[],
): Promise<Rows[]> {
  const stores: Rows[] = [];
  for (let i = 0; i < 12; i++) {
    await cluster.run(pause_ms);
    if (i % 3 === 0) ids.push(await cluster.put((victim + 1 + (i % 3)) % 4, `l${i}`));
    stores.push([...cluster.at(victim).store.rows]);
    const rows = await cluster.crash(victim);
    await cluster.run(i);
    await cluster.restart(victim, rows);
  }
  return stores;
}

/** Fills with what each node would have kept, at every write of any of them from now on. */
export function survivorsOf(cluster: SimCluster): readonly Rows[][] {
  const instants: Rows[][] = [];
  for (const { store } of cluster.nodes) {
    const write = store.write.bind(store);
    store.write = async (ops, options) => {
      await write(ops, options);
      instants.push(cluster.nodes.map((node) => node.store.survivors()));
    };
  }
  return instants;
}

export interface AllCut {
  /** As the network was started. */
  readonly options: SimOptions;
  readonly instants: readonly Rows[][];
  /** Each so many of them is tried. */
  readonly every: number;
  /** What was acknowledged before, and which of it ends the epoch. */
  readonly ids: readonly string[];
  readonly change: string;
  /** Who writes afterwards, which drives what was under way. */
  readonly writers: readonly number[];
}

/**
 * All nodes lost power at once: out of what they kept at every such instant they agree, nothing
 * that was acknowledged is missing, and nobody signs twice.
 */
export async function assertAllGoOn(t: ExecutionContext, cut: AllCut): Promise<void> {
  const { options, instants, every, ids, change, writers } = cut;
  const places = Array.from({ length: options.validators }, (_, at) => at);
  let between = 0;
  for (const [i, kept] of instants.entries()) {
    if (i % every !== 0) continue;
    const again = await SimCluster.start(options, places);
    for (const [at, rows] of kept.entries()) {
      await again.join(`peer-${at}`, again.net.validators[at] as TestActor, rows);
    }
    if (again.nodes.some(({ core }) => core.replica.orderer.isEnded)) between += 1;
    const acknowledged = ids.filter((id) => isKept(kept, id));
    await again.run(100);
    for (const at of writers) acknowledged.push(await again.put(at, `again ${at}`));
    const isDone = () => acknowledged.every((id) => again.at(1).core.log.finalEvent(id));
    t.true(await again.until(isDone, 10_000), `instant ${i}`);
    const hasChanged = again.at(1).core.log.finalEvent(change) !== undefined;
    t.true(await again.until(() => areIn(again, hasChanged ? 1 : 0), 10_000), `instant ${i}`);
    await again.run(300);
    t.is(new Set(again.summaries()).size, 1, `instant ${i}`);
    t.is(again.nodes.reduce((n, { core }) => n + core.replica.counters.equivocations, 0), 0);
    await again.stop();
  }
  t.true(instants.length > 20 && between > 0, `${instants.length} writes, ${between} between`);
}

function isKept(kept: readonly Rows[], id: string): boolean {
  return kept.some((rows) => [...rows].some(([key]) => key === `p/${id}` || key === `e/${id}`));
}
