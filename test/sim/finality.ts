import { decodeFinalRow, decodeNumber, storeKeys } from '#ledger/keys.ts';
import type { Id } from '#ledger/ports.ts';
import { readPruned } from '#ledger/snapshot/pruned.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/** Honest nodes that run and hold the log from the genesis on. */
export function wholeNodes(world: World): readonly SimNode[] {
  return world.honest.filter(({ core, store }) => core && store && !readPruned(store));
}

/**
 * The verdict with which an event is final at a node; `undefined` where it is not. Of an event that
 * the node holds no more its number and verdict are enough, and of one that it does not even
 * remember by id that a node with the whole log has it below there: that both logs have one root is
 * for `checkers/final-prefix.ts` to say. One that cannot be read is not there.
 */
export function verdictAt(world: World, { core, store }: SimNode, id: Id): number | undefined {
  if (!core || !store || core.snapshots.isInstalling) return undefined;
  const number = store.get(storeKeys.finalOfEvent(id));
  const pruned = readPruned(store);
  if (!number) return pruned && verdictBelow(world, pruned.rows, id);
  const seq = decodeNumber(number);
  if (seq > (pruned?.events ?? 0)) {
    try {
      return core.log.finalEvent(id)?.verdict;
    } catch {
      return undefined;
    }
  }
  const row = store.get(storeKeys.final(seq));
  return row && decodeFinalRow(row).verdict;
}

/** Whether a node has given the event a number. */
export function isFinalAt({ store }: SimNode, id: Id): boolean {
  return store?.get(storeKeys.finalOfEvent(id)) !== undefined;
}

/** The verdict of an event that some whole node has up to a number. */
function verdictBelow(world: World, rows: number, id: Id): number | undefined {
  if (rows === 0) return undefined;
  for (const { core } of wholeNodes(world)) {
    const final = core?.log.finalEvent(id);
    if (final && final.seq <= rows) return final.verdict;
  }
  return undefined;
}
