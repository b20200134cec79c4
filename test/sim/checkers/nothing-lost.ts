import type { Id } from '#ledger/ports.ts';
import { verdictAt } from '#test/sim/finality.ts';
import type { MakeChecker } from './index.ts';

/**
 * Whatever an honest node acknowledged has its number in every honest node's log, with one of the
 * verdicts that it may have. Where a node holds the event no more, `finality.ts` says what counts.
 */
export const nothingLost: MakeChecker = (world, report) => {
  const told = new Map<Id, number>();
  /** A repetition of an event that is remembered no more takes its place as `replayed`. */
  const isMet = (id: Id, verdict: number, allowed: readonly number[]): boolean => {
    if (allowed.includes(verdict)) return true;
    const isForgotten = world.scenario.remembered !== undefined && REPEATED.has(verdict);
    return isForgotten && allowed.includes(told.get(id) ?? verdict);
  };
  return {
    finals(_node, events) {
      for (const { verdict, entry } of events) {
        if (!told.has(entry.id)) told.set(entry.id, verdict);
      }
    },
    end() {
      for (const [id, { verdicts, by }] of world.due()) {
        for (const node of world.honest) {
          const { name } = node;
          const verdict = verdictAt(world, node, id);
          if (verdict === undefined) {
            report(`${id}, acknowledged by ${[...by].join()}, is not final at ${name}`);
          } else if (!isMet(id, verdict, verdicts)) {
            report(`${id} has the verdict ${verdict} at ${name}`);
          }
        }
      }
    },
  };
};

/** `replayed`, and `key_retired` where its key was rotated away meanwhile. */
const REPEATED: ReadonlySet<number> = new Set([2, 520]);
