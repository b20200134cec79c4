import { archiveOps } from '#ledger/archive.ts';
import { keysFor, sealBlock } from '#ledger/block.ts';
import type { Block } from '#ledger/block.ts';
import { encode } from '#ledger/codec.ts';
import { entryOf, signEvent } from '#ledger/event.ts';
import type { Entry, Event } from '#ledger/event.ts';
import { Fold } from '#ledger/fold.ts';
import type { Summary } from '#ledger/fold.ts';
import { encodeRef } from '#ledger/header.ts';
import type { Ref } from '#ledger/header.ts';
import { storeKeys } from '#ledger/keys.ts';
import { Orderer } from '#ledger/orderer.ts';
import type { Id } from '#ledger/ports.ts';
import { pendingOps } from '#ledger/pool-store.ts';
import { claimStore } from '#node/data-dir.ts';
import { schema } from '#projections/index.ts';
import { CREATED_MS } from './cluster.ts';
import type { TestActor, TestNet } from './cluster.ts';
import { MemoryStore } from './memory-store.ts';

/** Milliseconds between two rounds. */
const ROUND_MS = 10;

/**
 * Makes the log of a network round by round, as its validators would: every author of a round sees
 * all blocks of the round before. Blocks, keys, commits and folded rows go into a store in memory,
 * as one node would keep them. Only keys and signatures differ from run to run.
 */
export class ChainBuilder {
  readonly net: TestNet;
  readonly store = new MemoryStore();
  readonly #fold: Fold;
  readonly #orderer: Orderer;
  readonly #blocks = new Map<Id, Block>();
  readonly #keys: ReadonlyMap<Id, Uint8Array>;
  readonly #newest: Ref[];
  #round = 0;

  private constructor(net: TestNet) {
    const { chain, validators, operators } = net;
    this.net = net;
    this.#fold = new Fold(this.store, chain.genesis, schema);
    this.#orderer = new Orderer(chain.id, chain.committee, chain.genesis.created_ms);
    const actors = [...validators, ...operators];
    this.#keys = new Map(actors.map(({ actor, coseKey }) => [actor, coseKey]));
    this.#newest = validators.map((_, author) => this.#orderer.dag.slot(0, author)[0] as Ref);
  }

  static async start(net: TestNet): Promise<ChainBuilder> {
    const builder = new ChainBuilder(net);
    await claimStore(builder.store, net.chain);
    return builder;
  }

  get round(): number {
    return this.#round;
  }

  get summary(): Summary {
    return this.#fold.summary();
  }

  /** Wall time of the round that comes next, milliseconds since the Unix epoch. */
  get now_ms(): number {
    return CREATED_MS + (this.#round + 1) * ROUND_MS;
  }

  /** The next round: one block of each author named, by default of all, with what it carries. */
  async addRound(
    payload: (author: number) => readonly Entry[] = () => [],
    authors: readonly number[] = this.net.validators.map((_, author) => author),
  ): Promise<readonly Block[]> {
    const ts_ms = this.now_ms;
    this.#round += 1;
    const sealed: Block[] = [];
    const previous = [...this.#newest];
    for (const author of authors) {
      sealed.push(await this.#seal(author, previous, ts_ms, payload(author)));
    }
    for (const block of sealed) await this.#accept(block);
    return sealed;
  }

  async #seal(
    author: number,
    previous: readonly Ref[],
    ts_ms: number,
    entries: readonly Entry[],
  ): Promise<Block> {
    const { chain, validators } = this.net;
    const { committee } = chain;
    const { last } = this.#orderer.state;
    const others = previous.filter((ref) => ref.author !== author);
    const parents = [previous[author] as Ref, ...others].map(({ round, author: of, id }) => ({
      round,
      author: of,
      id,
    }));
    const draft = {
      chain: chain.id,
      epoch: 0,
      committee: committee.id,
      round: this.#round,
      author,
      ts_ms,
      parents,
      ...(last.index > 0 && { vote: { index: last.index, id: last.id } }),
    };
    const keys = keysFor(entries, author, committee, (id) => this.#keys.get(id));
    return sealBlock(draft, entries, keys, (validators[author] as TestActor).signer);
  }

  async #accept(block: Block): Promise<void> {
    const { ref, header, entries } = block;
    const { parents, ts_ms } = header;
    this.#blocks.set(ref.id, block);
    this.#newest[ref.author] = ref;
    this.#orderer.accept({ ...ref, parents, ts_ms, hasPayload: entries.length > 0 });
    const ops = archiveOps(block, () => false);
    const { commits } = this.#orderer.advance();
    for (const commit of commits) {
      this.#fold.apply(commit, commit.blocks.map(({ id }) => this.#blocks.get(id) as Block));
    }
    if (commits.length > 0) ops.push(...this.#fold.ops(this.#orderer.state));
    if (ref.author === 0) {
      ops.push({ type: 'put', key: storeKeys.ownLast, value: encode(encodeRef(ref)) });
    }
    await this.store.write(ops);
    this.#fold.written();
  }

  /** A signed `kv.put/1`, unless `change` makes it another. */
  event(from: TestActor, seq: number, change: Partial<Event> = {}): Promise<Entry> {
    return signEvent(this.#draft(from, seq, change), from.signer);
  }

  /** The same without a signature: only the actor's own block may carry it. */
  bareEvent(from: TestActor, seq: number, change: Partial<Event> = {}): Entry {
    return entryOf(this.#draft(from, seq, change));
  }

  #draft({ actor }: TestActor, seq: number, change: Partial<Event>): Event {
    return {
      chain: this.net.chain.id,
      actor,
      lane: 0,
      seq,
      kind: 'kv.put/1',
      body: { key: `key-${seq}`, value: new Uint8Array(120).fill(seq) },
      hlc: [this.now_ms, 0],
      ...change,
    };
  }

  /** Keeps an acknowledged event that no block carries. */
  async keepPending(entry: Entry, { coseKey }: TestActor): Promise<void> {
    const pending = { entry, coseKey, isOwn: true, due_ms: 0 };
    await this.store.write(pendingOps(pending, () => false));
  }
}

/**
 * A small log of everything: signed events of two operators, a bare one of a validator, one that
 * stands in two blocks, a replayed lane, an expired one, an update and a deletion, an absent
 * author, and a tip that is not ordered.
 */
export async function smallLog(net: TestNet): Promise<ChainBuilder> {
  const builder = await ChainBuilder.start(net);
  const [ann, ben] = net.operators as [TestActor, TestActor];
  const [first] = net.validators as [TestActor];
  const put = await builder.event(ann, 1);
  const again = { key: 'again', value: new Uint8Array(1) };
  const replayed = await builder.event(ann, 1, { body: again });
  const expired = await builder.event(ben, 1, { notAfter_ms: 1 });
  await builder.addRound((author) => (author === 0 ? [put, builder.bareEvent(first, 1)] : []));
  await builder.addRound((author) => (author === 1 ? [put, replayed, expired] : []));
  const update = await builder.event(ben, 2, { body: { key: 'key-1', value: new Uint8Array(9) } });
  const removal = await builder.event(ann, 2, { kind: 'kv.delete/1', body: { key: 'key-1' } });
  const follows = await builder.event(ben, 3, { deps: [update.id] });
  await builder.addRound((author) => (author === 2 ? [update] : []));
  await builder.addRound((author) => (author === 3 ? [removal, follows] : []), [0, 1, 3]);
  for (let round = 0; round < 4; round++) await builder.addRound();
  const late = await builder.event(ann, 3);
  await builder.addRound((author) => (author === 1 ? [late] : []));
  return builder;
}
