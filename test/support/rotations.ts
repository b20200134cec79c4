import { keyId } from '#ledger/cose.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import type { HeldKey } from '#ledger/held-keys.ts';
import type { Id } from '#ledger/ports.ts';
import { ROTATE_KIND, rotateBody } from '#ledger/rotation.ts';
import type { TestActor } from './cluster.ts';
import { seededActor } from './seeded-actor.ts';
import type { SimCluster } from './sim-cluster.ts';

/** Steps of tests that give actors other keys. */

/** A key that no genesis knows; the same in every run. */
export function freshKey(name: string): HeldKey & { readonly id: Id } {
  const { coseKey, signer } = seededActor(`fresh key ${name}`);
  return { coseKey, signer, id: keyId(coseKey) };
}

let seq = 0;

/** An event of an actor, signed with one of its keys; numbers ascend over the whole process. */
export function eventBy(
  cluster: SimCluster,
  actor: Id,
  key: HeldKey,
  kind: string,
  body: Body,
  lane = 8,
): Promise<Entry> {
  const id = keyId(key.coseKey);
  return signEvent(
    {
      chain: cluster.net.chain.id,
      actor,
      ...(id !== actor && { key: id }),
      lane,
      seq: (seq += 1),
      kind,
      body,
      hlc: [cluster.clock.wall_ms(), 0],
    },
    key.signer,
  );
}

/** Hands an event to a node; resolves with its id once it is accepted. */
export async function hand(
  cluster: SimCluster,
  index: number,
  entry: Entry,
  { coseKey }: HeldKey,
): Promise<Id> {
  await cluster.during(cluster.at(index).core.submit(entry.bytes, coseKey));
  return entry.id;
}

/** An actor goes from one key to another, by an event that it hands to a node. */
export async function rotate(
  cluster: SimCluster,
  index: number,
  { actor }: Pick<TestActor, 'actor'>,
  from: HeldKey,
  to: HeldKey,
): Promise<Id> {
  const about = { chain: cluster.net.chain.id, actor, key: keyId(from.coseKey) };
  const body = await rotateBody(about, to);
  return hand(cluster, index, await eventBy(cluster, actor, from, ROTATE_KIND, body), from);
}
