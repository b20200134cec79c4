import { verdictAt } from '#test/sim/finality.ts';
import type { MakeChecker } from './index.ts';

/**
 * Whatever an honest node acknowledged has its number in every honest node's log, with one of the
 * verdicts that it may have. Where a node holds the event no more, `finality.ts` says what counts.
 */
export const nothingLost: MakeChecker = (world, report) => ({
  end() {
    for (const [id, { verdicts, by }] of world.due()) {
      for (const node of world.honest) {
        const { name } = node;
        const verdict = verdictAt(world, node, id);
        if (verdict === undefined) {
          report(`${id}, acknowledged by ${[...by].join()}, is not final at ${name}`);
        } else if (!verdicts.includes(verdict)) {
          report(`${id} has the verdict ${verdict} at ${name}`);
        }
      }
    }
  },
});
