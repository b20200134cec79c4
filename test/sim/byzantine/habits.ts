import type { Block, Draft } from '#ledger/block.ts';
import type { Entry } from '#ledger/event.ts';
import type { PeerName, Protocol } from '#ledger/ports.ts';
import { ambush } from './ambush.ts';
import { falseSnapshot } from './false-snapshot.ts';
import { forgedCertificates, forgedVotes } from './forgeries.ts';
import { falseSync } from './false-sync.ts';
import { badSignatures, invalidParents, madeUpPast, oversize, stale } from './nonsense.ts';
import { pastEpochs } from './past-epochs.ts';
import { hoarding, replays } from './replays.ts';
import type { Treason } from './treason.ts';

/** A block and who gets it. */
export interface Sending {
  readonly block: Block;
  readonly to: readonly PeerName[];
}

/** One way in which a validator breaks the protocol. */
export interface Habit {
  /** Changes what its next block says. */
  draft?(treason: Treason, draft: Draft): Draft;
  /** Whether it lets this round pass without a block. */
  skips?(treason: Treason, round: number): boolean;
  /** What its next block carries, with the keys that it needs. */
  payload?(treason: Treason): { readonly entries: Entry[]; readonly keys: Uint8Array[] };
  /** Who gets a block, and who gets which other block for the same slot. */
  spread?(treason: Treason, block: Block): Promise<readonly Sending[]>;
  /** Done again and again. */
  tick?(treason: Treason): Promise<void>;
  /** Answers a request in place of its core; nothing where it does not. `honest` is the core. */
  answer?(
    treason: Treason,
    protocol: Protocol,
    message: Uint8Array,
    from: PeerName,
    honest: () => AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> | undefined;
  /** Whether it seals whenever it can, wanted or not, and waits for nobody. */
  readonly isHasty?: boolean;
  /** Whether it has no good days: else it keeps the protocol now and then. */
  readonly isSteadfast?: boolean;
}

/** The parents of a block that votes against the leader, where that leaves a quorum. */
function withoutLeader({ core, committee }: Treason, { parents, round }: Draft): Draft['parents'] {
  const leader = core.replica.orderer.leaderOf(round - 1);
  const fewer = parents.filter(
    (parent, i) => i === 0 || parent.author !== leader || parent.round !== round - 1,
  );
  const below = fewer.filter((parent) => parent.round === round - 1).map(({ author }) => author);
  return committee.stakeOf(below) >= committee.quorum ? fewer : parents;
}

/** As many blocks for one slot, each to its part of the peers. */
const twins = (count: number): Habit => ({
  async spread(treason, block) {
    const groups: PeerName[][] = Array.from({ length: count }, () => []);
    for (const peer of treason.peers()) treason.random.pick(groups).push(peer);
    const draft = treason.draftOf(block);
    const sendings: Sending[] = [{ block, to: groups[0] ?? [] }];
    for (const [i, to] of groups.entries()) {
      if (i === 0) continue;
      const entries = treason.random.chance(0.5) ? [treason.event(`twin ${i}`)] : [];
      const parents = treason.random.chance(0.5) ? draft.parents : withoutLeader(treason, draft);
      const twin = await treason.seal({ ...draft, parents, ts_ms: draft.ts_ms + i }, entries);
      sendings.push({ block: twin, to });
    }
    return sendings;
  },
});

/** The part of the peers that a name stands for, the same every time. */
function part(treason: Treason, share: number): PeerName[] {
  const peers = treason.peers().toSorted();
  return peers.slice(0, Math.max(1, Math.floor(peers.length * share)));
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

const KINDS = {
  /** Two blocks for one slot, to different halves. */
  twins: twins(2),
  manyTwins: twins(5),
  /** Its blocks go to one peer, and nobody can fetch them. */
  withheldBlocks: {
    spread: (treason, block) => {
      const peers = treason.peers();
      return Promise.resolve([{ block, to: peers.length > 0 ? [treason.random.pick(peers)] : [] }]);
    },
    answer: (_treason, protocol) => (protocol === 'blocks' ? nothing() : undefined),
  },
  /** Every other block goes to nobody, and the next one builds on it. */
  withheldPayloads: {
    spread: (treason, block) => {
      const isHidden = treason.own.length % 2 === 0;
      return Promise.resolve([{ block, to: isHidden ? [] : treason.peers() }]);
    },
    answer: (_treason, protocol) => (protocol === 'blocks' ? nothing() : undefined),
  },
  /** Some peers never hear of it. */
  selectiveSilence: {
    spread: (treason, block) => Promise.resolve([{ block, to: part(treason, 0.5) }]),
    answer: (treason, _protocol, _message, from) =>
      part(treason, 0.5).includes(from) ? undefined : nothing(),
  },
  /** It runs ahead: seals in every round at once, whether or not anything waits. */
  roundJumping: { isHasty: true },
  futureTimes: {
    draft: (treason, draft) => ({
      ...draft,
      ts_ms: draft.ts_ms + treason.random.pick([450, 2000, 60_000, 86_400_000]),
    }),
  },
  pastTimes: { draft: (_treason, draft) => ({ ...draft, ts_ms: 0 }) },
  invalidParents,
  madeUpPast,
  stale,
  oversize,
  badSignatures,
  replays,
  falseSync,
  ambush,
  hoarding,
} as const satisfies Record<string, Habit>;

/** Drawn by themselves (`cutting.ts`), so that seeds keep their other habits. */
const CHECKPOINTS = { forgedVotes, forgedCertificates } as const satisfies Record<string, Habit>;

/** Drawn where the committee changes only (`changes.ts`). */
const EPOCHS = { pastEpochs } as const satisfies Record<string, Habit>;

/** Drawn where snapshots are taken only (`snapshots.ts`). */
const SNAPSHOTS = { falseSnapshot } as const satisfies Record<string, Habit>;

const ALL = { ...KINDS, ...CHECKPOINTS, ...EPOCHS, ...SNAPSHOTS };

export type HabitName = keyof typeof ALL;

export const HABITS: Readonly<Record<HabitName, Habit>> = ALL;

/** Those that any run may draw. */
export const COMMON_HABITS = Object.keys(KINDS) as HabitName[];

export const FORGERIES = Object.keys(CHECKPOINTS) as HabitName[];
