import type { TestActor } from '#test/support/cluster.ts';
import { codeOf } from '#ledger/errors.ts';
import {
  areIn,
  changeCommittee,
  differing,
  epochOf,
  joining,
  logOf,
  newcomer,
} from '#test/support/epochs.ts';
import { seeded } from '#test/support/fake-link.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import type { Rows } from '#test/support/sim-cluster.ts';

/**
 * Seven nodes on bad links, one of them down or cut off now and then, while validators come and go
 * under load. Returns what is wrong after all is healed; nothing where all is well.
 */
export async function epochChaos(seed: number, steps = 120): Promise<string[]> {
  const random = seeded(seed);
  const link = { delay_ms: [1, 15], loss: 0.08, duplicate: 0.05 } as const;
  const cluster = await SimCluster.start({ validators: 4, seed, write_ms: 2, link });
  const actors: TestActor[] = [...cluster.net.validators, ...[0, 1, 2].map(newcomer)];
  for (let i = 4; i < 7; i++) await cluster.join(`peer-${i}`, actors[i] as TestActor);
  await cluster.run(100);
  const down = new Map<number, Rows>();
  const seated = new Set([0, 1, 2, 3]);
  const ids: string[] = [];
  const change = async (): Promise<void> => {
    const via = [0, 1, 2, 3].find((i) => !down.has(i)) ?? 0;
    const at = Math.floor(random() * 7);
    const who = actors[at] as TestActor;
    if (!seated.has(at)) {
      seated.add(at);
      ids.push(await changeCommittee(cluster, via, [joining(who, `peer-${at}`)]));
    } else if (seated.size > 4) {
      seated.delete(at);
      ids.push(await changeCommittee(cluster, via, [], [who]));
    }
  };
  for (let step = 0; step < steps; step++) {
    await cluster.run(Math.floor(random() * 40));
    const at = Math.floor(random() * 7);
    if (!down.has(at)) ids.push(...(await putAt(cluster, at, step)));
    const dice = random();
    if (dice < 0.08) await change();
    else if (dice < 0.14 && down.size === 0) down.set(at, await cluster.crash(at));
    else if (dice < 0.3) await restartAll(cluster, down);
    else if (dice < 0.33) cutOff(cluster, at);
    else if (dice < 0.42) cluster.hub.healAll();
  }
  cluster.hub.healAll();
  await restartAll(cluster, down);
  const isDone = () => cluster.haveFinal(ids.length) && areIn(cluster, epochOf(cluster.at(0)));
  const wrong: string[] = [];
  if (!(await cluster.until(isDone, 60_000))) {
    const sizes = cluster.nodes.map(({ core }) => core.replica.fold.size).join();
    const epochs = cluster.nodes.map(epochOf).join();
    wrong.push(`${ids.length} events, final are ${sizes}; epochs ${epochs}`);
  }
  const log = logOf(cluster.at(0));
  if (new Set(log).size < log.length) wrong.push('an event stands twice');
  if (!ids.every((id) => log.includes(id))) wrong.push('an acknowledged event is lost');
  if (new Set(cluster.summaries()).size > 1) wrong.push('states differ');
  wrong.push(...differing(cluster).map((name) => `the log of ${name} differs`));
  for (const { name, core } of cluster.nodes) {
    if (core.replica.counters.equivocations > 0) wrong.push(`${name} saw an equivocation`);
    if (core.replica.isHalted) wrong.push(`${name} has halted`);
  }
  await cluster.stop();
  return wrong;
}

/** A newcomer is no member before it was added: then nothing of it counts. */
async function putAt(cluster: SimCluster, at: number, step: number): Promise<string[]> {
  try {
    return [await cluster.put(at, `k${step % 11}`, `${step}`)];
  } catch (error) {
    if (codeOf(error) === 'not_member') return [];
    throw error;
  }
}

async function restartAll(cluster: SimCluster, down: Map<number, Rows>): Promise<void> {
  for (const [i, rows] of down) await cluster.restart(i, rows);
  down.clear();
}

function cutOff(cluster: SimCluster, at: number): void {
  const one = `peer-${at}`;
  const others = cluster.nodes.map(({ name }) => name).filter((name) => name !== one);
  cluster.hub.partition([one], others);
}
