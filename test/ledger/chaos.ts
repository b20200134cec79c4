import { seeded } from '#test/support/fake-link.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

export interface ChaosResult {
  readonly events: number;
  readonly commits: number;
  /** What was promised and not kept; empty when all is well. */
  readonly broken: readonly string[];
}

/**
 * One seeded run: events at random nodes while links are cut, messages lost, and machines lose
 * power; then everything heals. Safety is checked at the end over all that any node ever stored,
 * liveness by what is final some virtual seconds after healing.
 */
export async function chaos(seed: number, steps = 60): Promise<ChaosResult> {
  const random = seeded(seed * 7919);
  const pick = (count: number): number => Math.floor(random() * count);
  const n = random() < 0.75 ? 4 : 7;
  const loss = pick(3) * 0.05;
  const link = { delay_ms: [1, 1 + pick(30)] as const, loss, duplicate: 0.05 };
  const cluster = await SimCluster.start({ validators: n, seed, link, write_ms: pick(3) * 2 });
  const away = new Map<number, Iterable<readonly [string, Uint8Array]>>();
  const slots = new Map<string, Set<string>>();
  const note = (rows: Iterable<readonly [string, unknown]>): void => {
    for (const [key] of rows) {
      const slot = key.slice(0, 'b/00000000/0000'.length);
      if (key.startsWith('b/')) slots.set(slot, (slots.get(slot) ?? new Set()).add(key));
    }
  };
  const acknowledged = new Set<string>();
  for (let i = 0; i < steps; i++) {
    const index = pick(n);
    const what = random();
    if (what < 0.6 && !away.has(index)) {
      acknowledged.add(await cluster.put(index, `k${pick(5)}`, `${i}`));
    } else if (what < 0.7) cluster.hub.partition(...groups(n, random));
    else if (what < 0.8) cluster.hub.healAll();
    else if (what < 0.9 && !away.has(index)) {
      note(cluster.at(index).store.rows);
      away.set(index, await cluster.crash(index));
    } else if (away.has(index)) await back(index);
    await cluster.run(pick(120));
  }
  async function back(index: number): Promise<void> {
    const rows = away.get(index);
    away.delete(index);
    if (rows) await cluster.restart(index, rows);
  }
  cluster.hub.healAll();
  for (const index of Array.from(away.keys())) await back(index);
  const count = acknowledged.size;
  const broken: string[] = [];
  if (!(await cluster.until(() => cluster.haveFinal(count), 30_000))) {
    const sizes = cluster.nodes.map(({ core }) => core.replica.fold.size);
    broken.push(`${count} events acknowledged, final at the nodes: ${sizes.join()}`);
  }
  await cluster.run(3000);
  const quiet = cluster.sealed();
  await cluster.run(5000);
  if (cluster.sealed() !== quiet) broken.push('blocks without anything to order');
  if (new Set(cluster.summaries()).size > 1) broken.push('states differ');
  const log = [...cluster.at(0).core.log.range(1, 1000)].map(({ entry }) => entry.id);
  if (new Set(log).size !== log.length) broken.push('an event is final twice');
  for (const id of acknowledged) if (!log.includes(id)) broken.push(`lost: ${id}`);
  for (const { store, core } of cluster.nodes) {
    note(store.rows);
    if (core.replica.counters.equivocations > 0) broken.push('a slot was signed twice');
    if (core.replica.alarm) broken.push('finality was halted');
  }
  for (const [slot, ids] of slots) if (ids.size > 1) broken.push(`two blocks in ${slot}`);
  broken.push(...cluster.troubles());
  const commits = cluster.at(0).core.replica.orderer.state.last.index;
  await cluster.stop();
  return { events: count, commits, broken };
}

/** Every node in one of two or three groups. */
function groups(n: number, random: () => number): string[][] {
  const count = 2 + Math.floor(random() * 2);
  const all: string[][] = Array.from({ length: count }, () => []);
  for (let i = 0; i < n; i++) all[Math.floor(random() * count)]?.push(`peer-${i}`);
  return all;
}
