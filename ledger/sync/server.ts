import { readSealed } from '#ledger/archive.ts';
import type { Chain } from '#ledger/chain.ts';
import { decodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { fail } from '#ledger/errors.ts';
import type { Ref } from '#ledger/header.ts';
import { epochRange, refOfBlockKey, storeKeys } from '#ledger/keys.ts';
import { FRAME_BYTES_MAX, GC_DEPTH } from '#ledger/limits.ts';
import { gcRoundAfter } from '#ledger/linearise.ts';
import type { BlockStore, Clock, Id, Network, PeerName } from '#ledger/ports.ts';
import type { Replica } from '#ledger/replica.ts';
import { readPruned } from '#ledger/snapshot/pruned.ts';
import * as messages from './messages.ts';
import type { Frontier, PoolItem, RangeRequest } from './messages.ts';

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
  readonly #store: Pick<BlockStore, 'get' | 'range'>;
  readonly #clock: Pick<Clock, 'wall_ms'>;
  #offset = 0;

  constructor(
    chain: Chain,
    replica: Replica,
    store: Pick<BlockStore, 'get' | 'range'>,
    clock: Pick<Clock, 'wall_ms'>,
  ) {
    this.#chain = chain;
    this.#replica = replica;
    this.#store = store;
    this.#clock = clock;
  }

  /** Registers the handlers. */
  serve(network: Network, hooks: ServerHooks): void {
    network.serve('blocks', (message) => this.#blocks(messages.decodeBlocksRequest(message)));
    network.serve('frontier', (message, from) =>
      this.#answerFrontier(messages.decodeFrontier(message), from, hooks),
    );
    network.serve('range', (message) => this.#range(messages.decodeRangeRequest(message)));
    network.serve('events', (message, from) => this.#events(message, from, hooks));
  }

  /** What this node holds now. Waiting events rotate through it where they are more than fit. */
  frontier(): Frontier {
    const { committee, orderer, pool } = this.#replica;
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
      first: this.#first,
    };
  }

  /** The first commit that is held with its blocks. */
  get #first(): number {
    return (readPruned(this.#store)?.commit ?? 0) + 1;
  }

  async *#blocks({ refs, epoch }: messages.BlocksRequest): AsyncIterable<Uint8Array> {
    yield* this.#sealed(refs, epoch);
  }

  *#sealed(refs: Iterable<Ref>, epoch: number): Iterable<Uint8Array> {
    let bytes = 0;
    for (const ref of refs) {
      const sealed = readSealed(this.#store, ref, epoch);
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
    const { epoch } = this.#replica.committee;
    // who stands in another epoch takes commits first, or has all of this one
    if (theirs.epoch === epoch) yield* this.#sealed(this.#lackedBy(theirs), epoch);
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

  /** Whoever has all commits before `from` gets what follows; nothing follows what is not held. */
  async *#range({ from, skip }: RangeRequest): AsyncIterable<Uint8Array> {
    const first = this.#first;
    if (from < first) fail('pruned', 'Commits are held from a later one on.', { from: first });
    const before = this.#commitAt(from - 1);
    if (from > 1 && !before) return;
    let bytes = 0;
    let epoch = before?.epoch ?? 0;
    for (let index = from; bytes < ANSWER_BYTES_MAX; index++) {
      const commit = this.#commitAt(index);
      // the commits of an epoch end where it ended, and with what those decide who have them
      while (epoch < (commit?.epoch ?? this.#replica.committee.epoch)) {
        for await (const block of this.#tail(epoch, index - 1, index === from ? skip : 0)) {
          if (bytes >= ANSWER_BYTES_MAX) return;
          bytes += block.length;
          yield messages.encodeRangeFrame({ block });
        }
        epoch += 1;
        const start = this.#replica.epochs.startOf(epoch);
        if (!start || bytes >= ANSWER_BYTES_MAX) return;
        bytes += start.certificate.length;
        yield messages.encodeRangeFrame({ seal: start.certificate });
      }
      if (!commit) return;
      for (const ref of commit.blocks) {
        const block = readSealed(this.#store, ref, epoch);
        if (!block) return;
        bytes += block.length;
        yield messages.encodeRangeFrame({ block });
      }
      yield messages.encodeRangeFrame({ commit: index });
    }
  }

  #commitAt(index: number): Commit | undefined {
    const row = index > 0 ? this.#store.get(storeKeys.commit(index)) : undefined;
    return row && decodeCommit(row);
  }

  /**
   * The blocks of an epoch that decide its last commit, number `last`, and that no commit brings:
   * they stand above the horizon and unordered. The first `skip` of them are left out: nothing
   * joins an epoch that has ended, so they are the same ones whenever a peer asks.
   */
  async *#tail(epoch: number, last: number, skip: number): AsyncIterable<Uint8Array> {
    const ordered = new Set<Id>();
    const horizon = gcRoundAfter(this.#commitAt(last)?.leader.round ?? 0, GC_DEPTH);
    for (let index = last; ; index--) {
      const commit = this.#commitAt(index);
      if (commit?.epoch !== epoch || commit.leader.round <= horizon) break;
      for (const { id } of commit.blocks) ordered.add(id);
    }
    let left = skip;
    for await (const [key] of this.#store.range(epochRange(epoch, horizon + 1))) {
      const ref = refOfBlockKey(key);
      if (ordered.has(ref.id)) continue;
      left -= 1;
      const block = left < 0 ? readSealed(this.#store, ref, epoch) : undefined;
      if (block) yield block;
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
