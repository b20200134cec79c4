import type { MakeChecker } from './index.ts';

/**
 * Whatever an honest node acknowledged has its number in every honest node's log, with one of the
 * verdicts that it may have.
 */
export const nothingLost: MakeChecker = (world, report) => ({
  end() {
    for (const [id, { verdicts, by }] of world.due()) {
      for (const { name, core } of world.honest) {
        const final = core?.log.finalEvent(id);
        if (!final) report(`${id}, acknowledged by ${[...by].join()}, is not final at ${name}`);
        else if (!verdicts.includes(final.verdict)) {
          report(`${id} (${final.seq}) has the verdict ${final.verdict} at ${name}`);
        }
      }
    }
  },
});
