import { makeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { entryOf } from '#ledger/event.ts';
import type { Entry, Event } from '#ledger/event.ts';
import { Fold } from '#ledger/fold.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import { idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { OrdererState } from '#ledger/orderer.ts';
import type { Schema } from '#ledger/reducer.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { schema } from '#projections/index.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

export const net = seededNet(2, 2, 'fold');
export const [ada, bob] = net.validators.map(({ actor }) => actor) as [Id, Id];

/** An unsigned put of `key` by a member; the fold looks at no signature. */
export function put(actor: Id, seq: number, key: string, more: Partial<Event> = {}): Entry {
  return entryOf({
    chain: net.chain.id,
    actor,
    lane: 0,
    seq,
    kind: 'kv.put/1',
    body: { key, value: Uint8Array.of(seq % 256) },
    hlc: [0, 0],
    ...more,
  });
}

/** A fold with its store, fed by hand: one commit for each call. */
export class HandFold {
  readonly store: MemoryStore;
  readonly fold: Fold;
  commit: Commit | undefined;

  constructor(
    store = new MemoryStore(),
    last?: Commit,
    active: Schema = schema,
    genesis = net.chain.genesis,
  ) {
    this.store = store;
    this.fold = new Fold(store, genesis, active);
    this.commit = last;
  }

  /** Applies one commit of one block for each list; returns what became final. */
  apply(blocks: readonly (readonly Entry[])[], ts_ms?: number): FinalEvent[] {
    const index = (this.commit?.index ?? 0) + 1;
    const refs = blocks.map((_, author) => ({
      round: index,
      author,
      id: idOf(new TextEncoder().encode(`${index}/${author}`)),
    }));
    const leader = refs.at(-1) ?? { round: index, author: 0, id: 'aa'.repeat(32) };
    this.commit = makeCommit({
      index,
      epoch: 0,
      previous: this.commit?.id ?? net.chain.id,
      leader,
      blocks: refs,
      ts_ms: ts_ms ?? CREATED_MS + index,
    });
    return this.fold.apply(
      this.commit,
      refs.map((ref, i) => ({ ref, entries: blocks[i] ?? [] })),
    );
  }

  /** As `apply` with one block; returns the verdicts by name. */
  verdicts(entries: readonly Entry[], ts_ms?: number): string[] {
    return this.apply([entries], ts_ms).map(({ verdict }) => verdictName(verdict));
  }

  get state(): OrdererState {
    const { commit } = this;
    const last = commit
      ? {
          index: commit.index,
          id: commit.id,
          ts_ms: commit.ts_ms,
          leaderRound: commit.leader.round,
        }
      : { index: 0, id: net.chain.id, ts_ms: 0, leaderRound: 0 };
    return { cursor: commit && { round: commit.leader.round, author: commit.leader.author }, last };
  }

  /** Writes what changed. */
  async write(): Promise<void> {
    await this.store.write(this.fold.ops(this.state));
    this.fold.written();
  }

  /** A new fold on what the store holds. */
  restarted(): HandFold {
    return new HandFold(new MemoryStore(this.store.rows), this.commit);
  }
}
