import type { FinalEvent } from '#ledger/fold.ts';
import type { StoreOp } from '#ledger/ports.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { World } from '#test/sim/world.ts';
import { audit } from './audit.ts';
import { boundedMemory } from './bounded-memory.ts';
import { checkpoints } from './checkpoints.ts';
import { epochs } from './epochs.ts';
import { exactlyOnce } from './exactly-once.ts';
import { finalPrefix } from './final-prefix.ts';
import { keys } from './keys.ts';
import { kvModel } from './kv-model.ts';
import { lives } from './lives.ts';
import { noAlarm } from './no-alarm.ts';
import { nothingLost } from './nothing-lost.ts';
import { nobodyBlamed } from './nobody-blamed.ts';
import { pruning } from './pruning.ts';
import { receipts } from './receipts.ts';
import { replay } from './replay.ts';
import { returned } from './returned.ts';
import { selfEquivocation } from './self-equivocation.ts';

/**
 * Watches a run and reports what must not happen. Hears of honest nodes only, but for `wrote`,
 * `voted` and `carried`. A checker never changes the run.
 */
export interface Checker {
  /** A node hands a sealed block of its own to its peers. */
  published?(node: SimNode, block: Uint8Array): void;
  /** A node hands a vote of its own to its peers. */
  voted?(node: SimNode, vote: Uint8Array): void;
  /** Any message arrives at anybody. */
  carried?(bytes: Uint8Array): void;
  /** A node hands a batch to its store. */
  wrote?(node: SimNode, ops: readonly StoreOp[]): void;
  /** A node has read its store and is about to start. */
  opened?(node: SimNode): void;
  /** A node tells of final events. */
  finals?(node: SimNode, events: readonly FinalEvent[]): void;
  /** Called again and again during the run. */
  sample?(): void;
  /** All is healed and quiet. */
  end?(): void | Promise<void>;
}

export type MakeChecker = (world: World, report: (detail: string) => void) => Checker;

/** The checkers by the name that a verdict shows. */
export const CHECKERS: Readonly<Record<string, MakeChecker>> = {
  diverged: finalPrefix,
  'exactly once': exactlyOnce,
  'nothing lost': nothingLost,
  'self-equivocation': selfEquivocation,
  epochs,
  returned,
  'no alarm': noAlarm,
  'nobody blamed': nobodyBlamed,
  'bounded memory': boundedMemory,
  checkpoints,
  receipts,
  pruning,
  replay,
  audit,
  'kv model': kvModel,
  keys,
  lives,
};

export function makeCheckers(world: World): Checker[] {
  return Object.entries(CHECKERS).map(([name, make]) =>
    make(world, (detail) => world.report(name, detail)),
  );
}
