import { signEvent } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import type { TestActor } from './cluster.ts';
import { seededActor } from './seeded-actor.ts';
import type { SimCluster, SimNode } from './sim-cluster.ts';

/** Steps of tests that change the committee of a simulated cluster. */

/** An actor that is no validator of the genesis. */
export const newcomer = (i: number): TestActor => seededActor(`newcomer ${i}`);

/** What a joiner brings; its peer is named as its node in the cluster. */
export function joining(who: TestActor, peer: string): Body {
  return { key: who.coseKey, peer, stake: 1 };
}

let seq = 0;

/** An event that the cluster's operator signs; its numbers ascend over the whole process. */
export function operatorEvent(
  cluster: SimCluster,
  kind: string,
  body: Body,
  who: TestActor = cluster.net.operators[0] as TestActor,
): Promise<Entry> {
  return signEvent(
    {
      chain: cluster.net.chain.id,
      actor: who.actor,
      lane: 7,
      seq: (seq += 1),
      kind,
      body,
      hlc: [cluster.clock.wall_ms(), 0],
    },
    who.signer,
  );
}

/** Submits a `committee.change/1` of the operator at a node; resolves when it is accepted. */
export async function changeCommittee(
  cluster: SimCluster,
  index: number,
  add: readonly Body[],
  remove: readonly TestActor[] = [],
): Promise<string> {
  const body = {
    ...(add.length > 0 && { add }),
    ...(remove.length > 0 && { remove: remove.map(({ actor }) => Uint8Array.fromHex(actor)) }),
  };
  return operate(cluster, index, 'committee.change/1', body);
}

/** Submits an event of the operator at a node; resolves with its id when it is accepted. */
export async function operate(
  cluster: SimCluster,
  index: number,
  kind: string,
  body: Body,
): Promise<string> {
  const entry = await operatorEvent(cluster, kind, body);
  const key = cluster.net.operators[0]?.coseKey as Uint8Array;
  await cluster.during(cluster.at(index).core.submit(entry.bytes, key));
  return entry.id;
}

export const epochOf = ({ core }: SimNode): number => core.replica.committee.epoch;

/** Whether these nodes have entered the epoch. */
export function areIn(
  cluster: SimCluster,
  epoch: number,
  indexes = cluster.nodes.map((_, i) => i),
): boolean {
  return indexes.every((i) => epochOf(cluster.at(i)) === epoch);
}

/** The ids of a node's final log, in order. */
export function logOf({ core }: SimNode): string[] {
  return [...core.log.range(1, 100_000)].map(({ entry }) => entry.id);
}

/** What each node calls final is a prefix of the longest; returns the nodes that differ. */
export function differing(cluster: SimCluster): string[] {
  const logs = cluster.nodes.map(logOf);
  const [longest = []] = logs.toSorted((a, b) => b.length - a.length);
  return cluster.nodes.flatMap(({ name }, i) =>
    (logs[i] as string[]).every((id, at) => id === longest[at]) ? [] : [name],
  );
}
