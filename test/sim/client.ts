import { signEvent } from '#ledger/event.ts';
import type { Body, Entry, Event } from '#ledger/event.ts';
import type { LoadOp } from './load.ts';
import type { World } from './world.ts';

/** The client of a simulated network, which is its operator too. */

/** How long it waits before it tries another node. */
const AGAIN_MS = 400;

/** Where rules may refuse it for good. */
const TRIES_MAX = 10;

/**
 * Gives an event to node after node until one acknowledges it: `verdicts` are those it may get.
 * Returns whether one did.
 */
export async function persist(
  world: World,
  entry: Entry,
  from: number,
  verdicts: readonly number[],
  coseKey = world.client.coseKey,
  tries = world.people ? TRIES_MAX : Number.POSITIVE_INFINITY,
): Promise<boolean> {
  let left = tries;
  for (let index = from; !world.isHealing; index = (index + 1) % world.nodes.length) {
    if (left-- <= 0) return false;
    const at = world.at(index).incarnation;
    const step = world.coreOf(index)?.submit(entry.bytes, coseKey);
    const answer = step?.then(
      () => 'kept' as const,
      () => 'refused' as const,
    );
    const said = await Promise.race([answer ?? world.sleep(AGAIN_MS), world.sleep(AGAIN_MS)]);
    if (said === 'kept' && world.isSame(index, at)) {
      world.acknowledged(index, entry, verdicts);
      return true;
    }
    if (said === 'refused') await world.sleep(AGAIN_MS);
  }
  return false;
}

export function bodyOf({ key, value }: LoadOp, more: Body = {}): Body {
  return { key, value: new TextEncoder().encode(value), ...more };
}

/** Its next event: it sets the key, unless `more` says otherwise. */
export function clientEvent(
  world: World,
  op: LoadOp,
  more: Partial<Event> = {},
): Promise<Entry> {
  const event = {
    chain: world.chain.id,
    actor: world.client.actor,
    lane: 0,
    seq: world.nextClientSeq(),
    kind: 'kv.put/1',
    body: bodyOf(op),
    hlc: [world.clock.wall_ms(), 0] as const,
    ...more,
  };
  return signEvent(event, world.client.signer);
}
