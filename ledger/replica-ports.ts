import type { Block } from './block.ts';
import type { FinalEvent, Fold } from './fold.ts';
import type { Ref } from './header.ts';
import type { Orderer } from './orderer.ts';
import type { Pending, Pool } from './pool.ts';
import type { BlockStore, Clock, Log, Signer } from './ports.ts';

/** What a replica acts on; everything impure comes in here. */
export interface ReplicaPorts {
  readonly clock: Clock;
  readonly store: BlockStore;
  readonly log: Log;
}

/** The validator that this replica seals for. An observer has none. */
export interface Author {
  readonly index: number;
  readonly signer: Signer;
}

/** What the layer above does for the replica. None of these may wait for the replica. */
export interface ReplicaHost {
  /** Sends a block that is safe in the store. */
  publish(block: Block): void;
  /** Asks peers for blocks that waiting ones need; `from` sent the block that named them. */
  fetch(refs: readonly Ref[], from: string | undefined): void;
  /** Events became final and are in the store. */
  finals(events: readonly FinalEvent[]): void;
  /** The replica has stopped for good: the store failed. */
  failed(error: unknown): void;
  isConnected(author: number): boolean;
  /**
   * False until a peer has told what it holds, since it may hold own blocks that this store has
   * lost, and while old commits are fetched, since own blocks would fill rounds that are long
   * decided.
   */
  maySeal(): boolean;
}

/** An event on its way into the pool. */
export interface Submission {
  readonly pending: Pending;
  /** Whether it is kept in the pool's part of the store before it is acknowledged. */
  readonly isDurable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A verified block that waits for a turn. */
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
  /** The last own block: no slot up to its round is ever signed again. */
  readonly ownLast: Ref | undefined;
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
