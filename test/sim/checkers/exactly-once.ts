import { JOIN_KIND } from '#ledger/join.ts';
import type { Id } from '#ledger/ports.ts';
import type { MakeChecker } from './index.ts';

/**
 * No event has two numbers, and no (actor, lane, seq) is applied for two events. Only one that is
 * not remembered any more gets another number, with the verdict that it is a repetition, or of a
 * key that was rotated away.
 */
export const exactlyOnce: MakeChecker = (world, report) => {
  const { remembered = Number.POSITIVE_INFINITY } = world.scenario;
  const numbers = new Map<Id, number[]>();
  const used = new Map<string, Id>();
  return {
    finals(node, events) {
      for (const { seq, verdict, entry } of events) {
        const { id, event } = entry;
        const known = numbers.get(id) ?? [];
        const isForgotten = known.every((one) => Math.abs(one - seq) > remembered);
        if (!known.includes(seq)) {
          if (known.length > 0 && (!SLOTLESS.has(verdict) || !isForgotten)) {
            report(`${node.name} has ${id} at ${seq}, it was at ${known.join()}`);
          }
          numbers.set(id, [...known, seq]);
        }
        // of who was refused as it came nothing is kept
        const isStranger = event.kind === JOIN_KIND && verdict !== 0;
        if (SLOTLESS.has(verdict) || isStranger) continue;
        const slot = `${event.actor} ${event.lane} ${event.seq}`;
        const holder = used.get(slot) ?? id;
        used.set(slot, holder);
        if (holder !== id) report(`${node.name} has ${id} and ${holder} in one sequence number`);
      }
    },
  };
};

/** Verdicts that use up no sequence number: `replayed`, `key_retired`. */
const SLOTLESS: ReadonlySet<number> = new Set([2, 520]);
