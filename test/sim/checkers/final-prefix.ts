import { readPruned } from '#ledger/snapshot/pruned.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { MakeChecker } from './index.ts';

/**
 * Every honest node tells the same event with the same verdict and time under the same number,
 * before and after every crash, without a gap but for what a snapshot passed over; at the end all
 * have the same state.
 */
export const finalPrefix: MakeChecker = (world, report) => {
  const told = new Map<number, string>();
  const last = new Map<string, number>();
  return {
    finals(node, events) {
      for (const { seq, verdict, entry, commit, ts_ms, block } of events) {
        const text = [entry.id, verdict, commit, ts_ms, block.id].join(' ');
        const before = told.get(seq);
        if (before === undefined) told.set(seq, text);
        else if (before !== text) report(`${node.name} has ${text} at ${seq}, others ${before}`);
        const life = `${node.name} ${node.incarnation}`;
        const previous = last.get(life);
        if (previous !== undefined && seq !== previous + 1 && !isAfterSnapshot(node, seq)) {
          report(`${node.name} tells ${seq} after ${previous}`);
        }
        last.set(life, seq);
      }
    },
    end() {
      const states = new Map<string, string[]>();
      for (const { core, name } of world.honest) {
        if (!core) continue;
        const summary = JSON.stringify(core.replica.fold.summary());
        states.set(summary, [...(states.get(summary) ?? []), name]);
      }
      const groups = [...states.values()].map((names) => names.join('+'));
      if (groups.length > 1) report(`states differ: ${groups.join(' | ')}`);
    },
  };
};

/** Whether it is the first event after the snapshot that the node has taken. */
function isAfterSnapshot({ store }: SimNode, seq: number): boolean {
  return store !== undefined && readPruned(store)?.events === seq - 1;
}
