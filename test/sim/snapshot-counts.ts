import { storeKeys } from '#ledger/keys.ts';
import type { StoreOp } from '#ledger/ports.ts';
import type { SimNode } from './node.ts';

/** What honest nodes did with snapshots in a run. */
export interface Counted {
  /** Snapshots that were put in place. */
  readonly installed: number;
  /** Ends of a node while parts were fetched or put in place. */
  readonly interrupted: number;
  /** Rows that pruning deleted, and commits among them. */
  readonly rowsPruned: number;
  readonly commitsPruned: number;
}

/** Counts by what the stores show. */
export class SnapshotCounts implements Counted {
  installed = 0;
  interrupted = 0;
  rowsPruned = 0;
  commitsPruned = 0;

  /** As they stand now. */
  get counted(): Counted {
    const { installed, interrupted, rowsPruned, commitsPruned } = this;
    return { installed, interrupted, rowsPruned, commitsPruned };
  }

  /** A node ends; its store is as it was. */
  ended({ store }: SimNode): void {
    const parts = [storeKeys.installing, storeKeys.staged('leaves', 0)];
    if (parts.some((key) => store?.get(key))) this.interrupted += 1;
  }

  wrote({ store }: SimNode, ops: readonly StoreOp[]): void {
    const mark = storeKeys.installing;
    if (ops.some(({ type, key }) => type === 'del' && key === mark)) this.installed += 1;
    // an old state that gives way is not pruned
    if (store?.get(mark)) return;
    for (const { type, key } of ops) {
      if (type !== 'del' || !/^[bcft]\//.test(key)) continue;
      this.rowsPruned += 1;
      if (key.startsWith('c/')) this.commitsPruned += 1;
    }
  }
}
