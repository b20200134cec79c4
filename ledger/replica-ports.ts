import type { Block } from './block.ts';
import type { Epochs } from './epochs.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { FinalEvent, Fold } from './fold.ts';
import type { Ref } from './header.ts';
import type { Orderer } from './orderer.ts';
import type { OwnLast } from './own-last.ts';
import type { Pool } from './pool.ts';
import type { Twins } from './witness.ts';
import type { BlockStore, Clock, Id, Log } from './ports.ts';

/** What a replica acts on; everything impure comes in here. */
export interface ReplicaPorts {
  readonly clock: Clock;
  readonly store: BlockStore;
  readonly log: Log;
}

/** What the layer above does for the replica. None of these may wait for the replica. */
export interface ReplicaHost {
  /** Sends a block that is safe in the store. */
  publish(block: Block): void;
  /** Asks peers for blocks that waiting ones need; `from` sent the block that named them. */
  fetch(refs: readonly Ref[], from: string | undefined): void;
  /** Events became final and are in the store. */
  finals(events: readonly FinalEvent[]): void;
  /** The log was cut into checkpoints, which are in the store. */
  cut(checkpoints: readonly Checkpoint[]): void;
  /** Whether the store should be left as it is at the next cut, for `stands`. */
  wantsState(): boolean;
  /** A turn is over: the store holds what the fold does, until this returns. */
  stands(): void;
  /** The replica has stopped for good: the store failed. */
  failed(error: unknown): void;
  /** Own blocks turned out to be forgotten. */
  forgot(): void;
  /** Asked when an epoch is entered: whether it began after own blocks were forgotten. */
  mayReturn(): boolean;
  /** Two blocks of one slot are in the store. */
  equivocated(twins: Twins): void;
  /** The last commit of the epoch is in the store: it wants its certificate. */
  ended(): void;
  /** The next epoch was entered, and is in the store. */
  entered(): void;
  /** When another's event is due here if nobody has carried it by then; monotonic milliseconds. */
  dueTime_ms(event: Id): number;
  isConnected(actor: Id): boolean;
  /**
   * False until peers have told what they hold in this epoch, since they may hold own blocks that
   * this store has lost, and while old commits are fetched, since own blocks would fill rounds that
   * are long decided.
   */
  maySeal(): boolean;
}

/** A verified block on its way into the DAG. */
export interface Offered {
  readonly block: Block;
  readonly from: string | undefined;
}

/** What was found in the store at start. */
export interface Restored {
  readonly fold: Fold;
  readonly orderer: Orderer;
  readonly pool: Pool;
  /** Blocks above the horizon, parents first. */
  readonly blocks: readonly Block[];
  /** The last own block, of this epoch or an earlier one. */
  readonly ownLast: OwnLast | undefined;
  readonly epochs: Epochs;
  /** The store, or an earlier one, is known to have lost own blocks: nothing is sealed. */
  readonly hasForgotten: boolean;
}

/** Counters since the start; `node/metrics.ts` names them. */
export interface ReplicaCounters {
  blocksAccepted: number;
  blocksSealed: number;
  commits: number;
  finals: number;
  equivocations: number;
  turns: number;
}

export function noCounters(): ReplicaCounters {
  return {
    blocksAccepted: 0,
    blocksSealed: 0,
    commits: 0,
    finals: 0,
    equivocations: 0,
    turns: 0,
  };
}
