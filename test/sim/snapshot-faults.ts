import { storeKeys } from '#ledger/keys.ts';
import type { FaultKind } from './faults.ts';
import type { Snare } from './node.ts';

/**
 * Faults of a node that comes up by a snapshot. They are drawn by `snapshots.ts` only, which knows
 * who that is and when.
 */

const NEVER_DRAWN = (): undefined => undefined;

/** The node is back after this time, and the power goes again so many writes later. */
const BACK_MS = 120;
const STEP = 3;
const TIMES = 4;

/** The power goes at the `amount`-th such write, before it is on the disk or just after. */
const powerAt = (isMeant: NonNullable<Snare['isMeant']>): FaultKind => ({
  draw: NEVER_DRAWN,
  begin: (world, { nodes: [node = 0], amount, for_ms }) => {
    const end_ms = world.now_ms + for_ms;
    let times = 0;
    const again = (): void => {
      times += 1;
      world.clock.after(BACK_MS, () => {
        if (world.isHealing || world.now_ms >= end_ms) return;
        world.restart(node);
        if (times < TIMES) world.trap(node, amount + times * STEP, { isMeant, cut: again });
      });
    };
    world.trap(node, amount, { isMeant, cut: again });
  },
  end: (world, { nodes: [node = 0] }) => {
    world.untrap(node);
    world.restart(node);
  },
});

export const SNAPSHOT_FAULTS = {
  /** While parts of a snapshot are fetched. */
  powerAtFetch: powerAt((ops) => ops.some(({ key }) => key.startsWith('i/'))),
  /** From the mark on that the snapshot counts, also while a start goes on with it. */
  powerAtInstall: powerAt((ops, store) => {
    const mark = storeKeys.installing;
    return store?.get(mark) !== undefined || ops.some(({ key }) => key === mark);
  }),
  /** The link between two nodes is cut. */
  unlinked: {
    draw: NEVER_DRAWN,
    begin: (world, { nodes: [a = 0, b = 0] }) => world.hub.cut(world.at(a).name, world.at(b).name),
    end: (world, { nodes: [a = 0, b = 0] }) => world.hub.heal(world.at(a).name, world.at(b).name),
  },
} as const satisfies Record<string, FaultKind>;
