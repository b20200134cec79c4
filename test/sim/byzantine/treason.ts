import { encodeBlock, sealBlock } from '#ledger/block.ts';
import type { Block, Draft } from '#ledger/block.ts';
import { entryOf } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import type { Core } from '#ledger/core.ts';
import type { PeerName } from '#ledger/ports.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import type { TestActor } from '#test/support/cluster.ts';
import type { Random } from '#test/sim/random.ts';

/** The rows of its core's store. */
type Rows = { readonly rows: ReadonlyMap<string, Uint8Array> };

interface Means extends Pick<Treason, 'core' | 'network' | 'random' | 'who'> {
  readonly store: Rows;
  /** The first sequence number of its events. */
  readonly seq: number;
}

/** Own blocks that a traitor remembers. */
const OWN_MAX = 200;

/** What a traitor has at hand: its key, a core that follows the network, and its links. */
export class Treason {
  readonly core: Core;
  readonly network: FakeNetwork;
  readonly random: Random;
  readonly who: TestActor;
  #blocks: Block[] = [];
  readonly #store: Rows;
  #seq: number;

  constructor(means: Means) {
    this.core = means.core;
    this.network = means.network;
    this.random = means.random;
    this.who = means.who;
    this.#store = means.store;
    this.#seq = means.seq;
  }

  get committee(): Core['chain']['committee'] {
    return this.core.replica.committee;
  }

  /** Its index in the committee; 0 while it has no seat, when nothing it seals is valid. */
  get author(): number {
    return this.committee.indexOf(this.who.actor) ?? 0;
  }

  /**
   * Its own blocks of this epoch, newest last, as they were sealed: some of them nobody else has.
   */
  get own(): readonly Block[] {
    return this.#blocks.filter(({ header }) => header.epoch === this.committee.epoch);
  }

  /** Those of other epochs. */
  get past(): readonly Block[] {
    return this.#blocks.filter(({ header }) => header.epoch !== this.committee.epoch);
  }

  peers(): PeerName[] {
    return this.network.peers().map(({ peer }) => peer);
  }

  /** An event of its own, covered by its block. */
  event(value: string): Entry {
    return entryOf({
      chain: this.core.chain.id,
      actor: this.who.actor,
      lane: 9,
      seq: this.#seq++,
      kind: 'kv.put/1',
      body: { key: `k${this.random.below(6)}`, value: new TextEncoder().encode(value) },
      hlc: [0, 0],
    });
  }

  /** Signs anything. */
  seal(draft: Draft, entries: readonly Entry[], keys: readonly Uint8Array[] = []): Promise<Block> {
    return sealBlock(draft, entries, keys, this.who.signer);
  }

  /** The draft of one of its own blocks, to sign it once more with changes. */
  draftOf({ header }: Block): Draft {
    const { root: _root, count: _count, bytes: _bytes, ...draft } = header;
    return draft;
  }

  /** Remembers an own block. */
  keep(block: Block): void {
    this.#blocks.push(block);
    if (this.#blocks.length > OWN_MAX) this.#blocks.shift();
  }

  /** A row of its core's store. */
  stored(key: string): Uint8Array | undefined {
    return this.#store.rows.get(key);
  }

  /** The rows of a range of keys, in no order that matters. */
  storedIn({ gte, lt }: { readonly gte: string; readonly lt: string }): Uint8Array[] {
    const keys = [...this.#store.rows.keys()].filter((key) => key >= gte && key < lt);
    return keys.toSorted().map((key) => this.#store.rows.get(key) as Uint8Array);
  }

  send(block: Block, peers: readonly PeerName[]): void {
    this.network.tell(peers, 'block', encodeBlock(block));
  }
}
