import type { Id } from '#ledger/ports.ts';
import type { MakeChecker } from './index.ts';

/** No event has two numbers, and no (actor, lane, seq) is applied for two events. */
export const exactlyOnce: MakeChecker = (_world, report) => {
  const numbers = new Map<Id, number>();
  const used = new Map<string, Id>();
  return {
    finals(node, events) {
      for (const { seq, verdict, entry } of events) {
        const { id, event } = entry;
        const before = numbers.get(id);
        if (before === undefined) numbers.set(id, seq);
        else if (before !== seq) report(`${node.name} has ${id} at ${seq}, it was at ${before}`);
        if (verdict === REPLAYED) continue;
        const slot = `${event.actor} ${event.lane} ${event.seq}`;
        const holder = used.get(slot) ?? id;
        used.set(slot, holder);
        if (holder !== id) report(`${node.name} has ${id} and ${holder} in one sequence number`);
      }
    },
  };
};

const REPLAYED = 2;
