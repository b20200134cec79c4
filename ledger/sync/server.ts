import { readSealed } from '#ledger/archive.ts';
import type { Chain } from '#ledger/chain.ts';
import { decodeCommit } from '#ledger/commit.ts';
import type { Ref } from '#ledger/header.ts';
import { storeKeys } from '#ledger/keys.ts';
import { FRAME_BYTES_MAX } from '#ledger/limits.ts';
import type { BlockStore, Clock, Network, PeerName } from '#ledger/ports.ts';
import type { Replica } from '#ledger/replica.ts';
import * as messages from './messages.ts';
import type { Frontier, PoolItem } from './messages.ts';

/** Bytes of one answer: the asker asks again for more. */
export const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/** What the handlers of others' requests may do beside reading. */
export interface ServerHooks {
  /** A peer's frontier, as it came with its request: it may hold what this node lacks. */
  frontierOf(peer: PeerName, frontier: Frontier): void;
  /** Events that a peer gives. */
  given(items: readonly PoolItem[], isOrigin: boolean, from: PeerName): Promise<void>;
}

/**
 * Answers to peers: blocks by reference, frontiers, ranges of commits, pending events. Reads only.
 */
export class SyncServer {
  readonly #chain: Chain;
  readonly #replica: Replica;
  readonly #store: Pick<BlockStore, 'get'>;
  readonly #clock: Pick<Clock, 'wall_ms'>;
  #offset = 0;

  constructor(
    chain: Chain,
    replica: Replica,
    store: Pick<BlockStore, 'get'>,
    clock: Pick<Clock, 'wall_ms'>,
  ) {
    this.#chain = chain;
    this.#replica = replica;
    this.#store = store;
    this.#clock = clock;
  }

  /** Registers the handlers. */
  serve(network: Network, hooks: ServerHooks): void {
    network.serve('blocks', (message) => this.#blocks(messages.decodeRefs(message)));
    network.serve('frontier', (message, from) =>
      this.#answerFrontier(messages.decodeFrontier(message), from, hooks),
    );
    network.serve('range', (message) => this.#range(messages.decodeRangeRequest(message)));
    network.serve('events', (message, from) => this.#events(message, from, hooks));
  }

  /** What this node holds now. Waiting events rotate through it where they are more than fit. */
  frontier(): Frontier {
    const { orderer, pool } = this.#replica;
    const { committee } = this.#chain;
    // a node that seals blocks carries its events itself
    const waiting = this.#replica.isStuck
      ? [...pool.waitingSigned()].map(({ entry }) => entry.id)
      : [];
    this.#offset =
      waiting.length > messages.EVENT_IDS_MAX
        ? (this.#offset + messages.EVENT_IDS_MAX) % waiting.length
        : 0;
    const shown = [...waiting.slice(this.#offset), ...waiting.slice(0, this.#offset)];
    return {
      chain: this.#chain.id,
      epoch: committee.epoch,
      newest: committee.validators.flatMap((_, author) => orderer.dag.newest(author) ?? []),
      commit: orderer.state.last.index,
      horizon: orderer.dag.horizon,
      wall_ms: this.#clock.wall_ms(),
      waiting: shown.slice(0, messages.EVENT_IDS_MAX),
    };
  }

  async *#blocks(refs: readonly Ref[]): AsyncIterable<Uint8Array> {
    yield* this.#sealed(refs);
  }

  *#sealed(refs: Iterable<Ref>): Iterable<Uint8Array> {
    let bytes = 0;
    for (const ref of refs) {
      const sealed = readSealed(this.#store, ref);
      if (!sealed) continue;
      bytes += sealed.length;
      if (bytes > ANSWER_BYTES_MAX) return;
      yield sealed;
    }
  }

  async *#answerFrontier(
    theirs: Frontier,
    from: PeerName,
    hooks: ServerHooks,
  ): AsyncIterable<Uint8Array> {
    yield messages.encodeFrontier(this.frontier());
    hooks.frontierOf(from, theirs);
    yield* this.#sealed(this.#lackedBy(theirs));
  }

  /**
   * The accepted blocks in memory that are newer than the asker's newest of their author, parents
   * first.
   */
  *#lackedBy({ newest }: Frontier): Iterable<Ref> {
    const { dag } = this.#replica.orderer;
    const theirs = new Map(newest.map((ref) => [ref.author, ref]));
    for (let round = Math.max(1, dag.horizon + 1); round <= dag.top; round++) {
      for (const block of dag.round(round)) {
        const known = theirs.get(block.author);
        if (
          !known ||
          block.round > known.round ||
          (block.round === known.round && block.id !== known.id)
        )
          yield block;
      }
    }
  }

  async *#range(from: number): AsyncIterable<Uint8Array> {
    let bytes = 0;
    for (let index = from; bytes < ANSWER_BYTES_MAX; index++) {
      const row = this.#store.get(storeKeys.commit(index));
      if (!row) return;
      for (const ref of decodeCommit(row).blocks) {
        const block = readSealed(this.#store, ref);
        if (!block) return;
        bytes += block.length;
        yield messages.encodeRangeFrame({ block });
      }
      yield messages.encodeRangeFrame({ commit: index });
    }
  }

  async *#events(
    message: Uint8Array,
    from: PeerName,
    hooks: ServerHooks,
  ): AsyncIterable<Uint8Array> {
    const request = messages.decodeEventsRequest(message);
    if ('give' in request) {
      await hooks.given(request.give, request.isOrigin, from);
      return;
    }
    const held = request.want.flatMap((id) => this.#replica.pool.get(id) ?? []);
    for (const batch of batches(
      held.flatMap(({ entry, coseKey }) => (coseKey ? { entry: entry.bytes, coseKey } : [])),
    )) {
      yield messages.encodePoolItems(batch);
    }
  }
}

/** Bytes of pool items in one message, well under a frame. */
const BATCH_BYTES_MAX = FRAME_BYTES_MAX / 2;

/** Splits pool items into messages. */
export function* batches(items: readonly PoolItem[]): Iterable<PoolItem[]> {
  let batch: PoolItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = item.entry.length + item.coseKey.length + 16;
    if (batch.length > 0 && bytes + size > BATCH_BYTES_MAX) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
