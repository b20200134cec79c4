import type { FaultKind } from './faults.ts';

/**
 * Faults of a node that comes up by a snapshot. They are drawn by `snapshots.ts` only, which knows
 * who that is and when.
 */

const NEVER_DRAWN = (): undefined => undefined;

/** The node is back after this time, and the power goes again so many writes later. */
const BACK_MS = 120;
const STEP = 3;
const TIMES = 4;

/** The power goes at the `amount`-th write of the part, before it is on the disk or just after. */
const powerAt = (part: 'fetch' | 'install'): FaultKind => ({
  draw: NEVER_DRAWN,
  begin: (world, { nodes: [node = 0], amount, for_ms }) => {
    const end_ms = world.now_ms + for_ms;
    let times = 0;
    const again = (): void => {
      times += 1;
      world.clock.after(BACK_MS, () => {
        if (world.isHealing || world.now_ms >= end_ms) return;
        world.restart(node);
        if (times < TIMES) world.trap(node, amount + times * STEP, part, again);
      });
    };
    world.trap(node, amount, part, again);
  },
  end: (world, { nodes: [node = 0] }) => {
    world.untrap(node);
    world.restart(node);
  },
});

export const SNAPSHOT_FAULTS = {
  /** While parts of a snapshot are fetched. */
  powerAtFetch: powerAt('fetch'),
  /** From the mark on that the snapshot counts, also while a start goes on with it. */
  powerAtInstall: powerAt('install'),
  /** The link between two nodes is cut. */
  unlinked: {
    draw: NEVER_DRAWN,
    begin: (world, { nodes: [a = 0, b = 0] }) => world.hub.cut(world.at(a).name, world.at(b).name),
    end: (world, { nodes: [a = 0, b = 0] }) => world.hub.heal(world.at(a).name, world.at(b).name),
  },
} as const satisfies Record<string, FaultKind>;
