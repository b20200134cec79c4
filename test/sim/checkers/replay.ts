import { rebuildProjections } from '#node/rebuild.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { readPruned } from '#ledger/snapshot/pruned.ts';
import { wholeNodes } from '#test/sim/finality.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { MakeChecker } from './index.ts';
import { isOfNothing, stateDifference, tailDifference } from './tail.ts';

/** What a fold derives from blocks and commits. */
const DERIVED = /^(s|w|f|e|c|a\/hash)\//;

function derived(rows: ReadonlyMap<string, Uint8Array>): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of rows) {
    if (DERIVED.test(key) && !isOfNothing(key, value)) found.set(key, value.toHex());
  }
  return found;
}

function difference(a: Map<string, string>, b: Map<string, string>): string | undefined {
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    if (a.get(key) !== b.get(key)) return key;
  }
  return undefined;
}

/**
 * The stored projections are what a fold from the first commit on gives, and all honest nodes have
 * the same rows, byte by byte; those that hold a tail of the log have the state, and their part.
 */
export const replay: MakeChecker = (world, report) => ({
  async end() {
    const nodes = world.honest.filter(({ core }) => core);
    const [first] = wholeNodes(world);
    const other = first ?? nodes[0];
    if (!other) return;
    for (const node of nodes) {
      const key = differenceOf(other, node);
      if (key !== undefined) report(`${node.name} and ${other.name} differ in ${key}`);
    }
    if (!first) return;
    const copy = new MemoryStore(first.store?.rows ?? []);
    try {
      await rebuildProjections(copy, world.chain, world.schema);
    } catch (error) {
      report(`${first.name}: ${String(error)}`);
      return;
    }
    const key = difference(derived(first.store?.rows ?? new Map()), derived(copy.rows));
    if (key !== undefined) report(`${first.name}: replay gives another ${key}`);
  },
});

/** Where a node differs from one that has the whole log, if anybody has it. */
function differenceOf(whole: SimNode, node: SimNode): string | undefined {
  if (!whole.store || !node.store || whole === node) return undefined;
  const pruned = readPruned(node.store);
  if (!pruned) return difference(stateRows(whole), stateRows(node));
  const [one, other] = [whole.store.rows, node.store.rows];
  return readPruned(whole.store)
    ? stateDifference(one, other)
    : tailDifference(one, other, pruned);
}

/** Commits are left out: the last empty ones may be decided by some only. */
function stateRows({ store }: SimNode): Map<string, string> {
  const rows = derived(store?.rows ?? new Map());
  for (const key of rows.keys()) if (key.startsWith('c/')) rows.delete(key);
  return rows;
}
