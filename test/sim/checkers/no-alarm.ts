import type { MakeChecker } from './index.ts';

/**
 * With no more traitors than the protocol stands nobody halts finality, no honest validator is
 * seen with two blocks in a slot, and none whose disk was never set back thinks that it was.
 */
export const noAlarm: MakeChecker = (world, report) => {
  const look = (): void => {
    for (const { core, name } of world.honest) {
      if (!core) continue;
      const { replica } = core;
      if (replica.alarm) report(`${name} halted at round ${replica.alarm.round}`);
      if (replica.hasForgotten) report(`${name} thinks that its store was lost`);
      if (world.nodes.every(({ isHonest }) => isHonest) && replica.counters.equivocations > 0) {
        report(`${name} saw two blocks in a slot`);
      }
    }
  };
  return world.isBeyond ? {} : { sample: look, end: look };
};
