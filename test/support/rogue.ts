import { encodeBlock, sealBlock } from '#ledger/block.ts';
import type { Block } from '#ledger/block.ts';
import type { Body } from '#ledger/event.ts';
import { entryOf } from '#ledger/event.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import type { Ref } from '#ledger/header.ts';
import type { SimCluster } from './sim-cluster.ts';

/** A validator played by hand: it signs what no honest node would. */
export class Rogue {
  readonly #cluster: SimCluster;
  readonly author: number;
  last: Ref;
  #seq = 0;

  constructor(cluster: SimCluster, author: number) {
    this.#cluster = cluster;
    this.author = author;
    const { chain } = cluster.net;
    this.last = { round: 0, author, id: genesisBlockId(chain.id, chain.committee, author) };
  }

  /**
   * Signs a block over the blocks that node 0 holds; `undefined` where they are no quorum, or where
   * it has lost its seat.
   */
  async seal(
    round: number,
    key: string | undefined,
    changes: { ts_ms?: number; previous?: Ref; parents?: readonly Ref[] } = {},
  ): Promise<Block | undefined> {
    const { net, clock } = this.#cluster;
    const { id: chain } = net.chain;
    const { committee, orderer } = this.#cluster.at(0).core.replica;
    const { dag } = orderer;
    if (committee.epoch > 0) return undefined;
    const others = committee.validators.flatMap((_, author) => {
      const [block] = dag.slot(round - 1, author);
      return block && author !== this.author ? [{ round: block.round, author, id: block.id }] : [];
    });
    const own = changes.previous ?? this.last;
    const below = own.round === round - 1 ? 1 : 0;
    const parents = changes.parents ?? [own, ...others];
    if (!changes.parents && others.length + below < committee.quorum) return undefined;
    const who = net.validators[this.author];
    if (!who) throw new Error('no such validator');
    const body: Body = { key: key ?? '', value: Uint8Array.of(1) };
    const event = {
      chain,
      actor: who.actor,
      lane: 9,
      seq: this.#seq++,
      kind: 'kv.put/1',
      body,
      hlc: [0, 0] as const,
    };
    const draft = {
      chain,
      epoch: committee.epoch,
      committee: committee.id,
      round,
      author: this.author,
      ts_ms: changes.ts_ms ?? clock.wall_ms(),
      parents,
    };
    return sealBlock(draft, key === undefined ? [] : [entryOf(event)], [], who.signer);
  }

  /** Hands a block to some nodes; returns what each said: a verdict or a code. */
  async give(block: Block, indexes: readonly number[]): Promise<void> {
    for (const i of indexes) {
      await this.#cluster.at(i).core.intake.take(encodeBlock(block), `peer-${this.author}`);
    }
  }
}
