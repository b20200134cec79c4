import type { Block } from './block.ts';
import type { Committee } from './committee.ts';
import { signEvent, signingKeyId } from './event.ts';
import type { Entry } from './event.ts';
import type { Fold } from './fold.ts';
import { heldKey } from './held-keys.ts';
import type { Self } from './held-keys.ts';
import { storeKeys } from './keys.ts';
import type { Pool } from './pool.ts';
import { pendingOps } from './pool-store.ts';
import type { Id, StoreOp } from './ports.ts';

/**
 * At the end of an epoch (consensus.md 2.10): the events of blocks that no commit ordered wait
 * again, so that the next epoch carries them; lane and seq see to it that each is applied once.
 * Others' events become due here after the usual fallback, since their origin carries them first; a
 * node without a seat would only keep what it never carries.
 * The node's own bare events were covered by blocks that count no more: a validator carries them
 * again, and one that left, or whose blocks another key signs now, signs them with the key that
 * they name (wire.md, "Event"); their ids stay. `ownKey`: that of its blocks to come, none for one
 * without a seat. Returns what keeps all these: others have seen the bare ones too. Bounded by the
 * payload of a few rounds.
 */
export async function returnEvents(
  blocks: readonly Block[],
  committee: Committee,
  ownKey: Id | undefined,
  { fold, pool, self }: { readonly fold: Fold; readonly pool: Pool; readonly self: Self },
  dueTime_ms: (id: Id) => number,
  hasKey: (id: Id) => boolean,
): Promise<StoreOp[]> {
  const ops: StoreOp[] = [];
  for (const block of blocks) {
    for (const entry of block.entries) {
      const { id, event, sign1 } = entry;
      if (fold.isFinal(id)) continue;
      if (pool.get(id)) pool.released(id);
      else if (!fold.reducer.counts(event) || !fold.reducer.isFree(event)) continue;
      else if (sign1 && ownKey !== undefined) {
        const coseKey = keyIn(block, entry, committee);
        const pending = { entry, coseKey, isOwn: false, due_ms: dueTime_ms(id) };
        pool.restore(pending);
        ops.push(...pendingOps(pending, hasKey));
      } else if (!sign1 && event.actor === self.actor) {
        pool.restore({ entry, coseKey: undefined, isOwn: true, due_ms: 0 });
      }
    }
  }
  return [...ops, ...(await settleBare(pool, self, ownKey, hasKey))];
}

/**
 * Makes own bare events of a pool such that they can become final: blocks signed with `ownKey` may
 * carry those that name it; the others are signed. One whose key is not held any more is forgotten:
 * nothing was said of it, and nobody else can carry it. Returns what keeps them.
 */
export async function settleBare(
  pool: Pool,
  self: Self,
  ownKey: Id | undefined,
  hasKey: (id: Id) => boolean,
): Promise<StoreOp[]> {
  const ops: StoreOp[] = [];
  for (const bare of [...pool.values()].filter(({ entry }) => !entry.sign1)) {
    const { event, eventBytes, id } = bare.entry;
    const keyId = signingKeyId(event);
    if (keyId === ownKey) {
      ops.push(...pendingOps(bare, hasKey));
      continue;
    }
    pool.remove(id);
    const key = heldKey(self, keyId);
    if (!key) {
      ops.push({ type: 'del', key: storeKeys.pending(id) });
      continue;
    }
    const entry = await signEvent(event, key.signer, eventBytes);
    const pending = { entry, coseKey: key.coseKey, isOwn: true, due_ms: 0 };
    pool.restore(pending);
    ops.push(...pendingOps(pending, hasKey));
  }
  return ops;
}

function keyIn(
  { header, keyIds, keys }: Block,
  { event }: Entry,
  committee: Committee,
): Uint8Array | undefined {
  const id = signingKeyId(event);
  if (id === committee.keyIdAt(header.author)) return committee.at(header.author).coseKey;
  return keys[keyIds.indexOf(id)];
}
