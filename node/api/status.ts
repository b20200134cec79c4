import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Core } from '#ledger/core.ts';
import { summaryHash } from '#ledger/fold.ts';
import { textOf } from '#ledger/ids.ts';
import type { Id, PeerInfo } from '#ledger/ports.ts';
import { Count } from './schemas.ts';

const Hash = Type.String({ description: '64 hex digits' });

/** The ledger's part of the status: read from `Core` by `statusOf`. */
const LEDGER = {
  network: Type.String({ description: 'name in the genesis' }),
  chain: Type.String({ description: 'CID of the genesis object' }),
  role: Type.Enum(['validator', 'observer']),
  actor: Hash,
  epoch: Count,
  n: Type.Integer({ description: 'validators in the committee' }),
  quorum: Count,
  round: Type.Integer({ description: 'of the threshold clock' }),
  commits: Type.Integer({ description: 'index of the last commit' }),
  finalSeq: Type.Integer({ description: 'events in the final log' }),
  logRoot: Hash,
  stateRoot: Hash,
  summaryHash: Type.String({
    description: 'SHA-256 over size and roots: equal on nodes that stand alike',
  }),
  projections: Type.Array(Type.Object({ name: Type.String(), version: Count, root: Hash })),
  pending: Type.Integer({ description: 'accepted events that are not final' }),
  peers: Count,
  quorumReachable: Type.Boolean(),
  catchUp: Type.Object({
    target: Type.Integer({ description: 'the highest commit that a peer has told' }),
    isRunning: Type.Boolean(),
  }),
  alarms: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
};

/** The answer of `/v1/status`; what the ledger does not know the node adds. */
export const StatusReply = Type.Object(
  {
    name: Type.String({ description: 'name of this node' }),
    version: Type.String({ description: 'of the software' }),
    engine: Type.String({ description: 'what checks signatures' }),
    peer: Type.String({ description: 'libp2p peer id' }),
    ...LEDGER,
    limitations: Type.Array(Type.String(), {
      description: 'what this node cannot do, in sentences',
    }),
    startedAt: Type.String({ description: 'UTC, ISO 8601' }),
    uptime_ms: Count,
  },
  { description: 'How the node stands' },
);
const LedgerPart = Type.Object(LEDGER);

export type NodeStatus = Static<typeof StatusReply>;
export type LedgerStatus = Static<typeof LedgerPart>;

/** The node as far as the status needs it; `author` is none for an observer. */
export interface StatusOfSelf {
  readonly actor: Id;
  readonly author: number | undefined;
}

/** What the ledger says of itself; `peers` are those with an accepted hello. */
export function statusOf(core: Core, self: StatusOfSelf, peers: readonly PeerInfo[]): LedgerStatus {
  const { chain, replica, antiEntropy } = core;
  const { fold, orderer, pool, roundClock } = replica;
  const summary = fold.summary();
  const { target, isRunning } = antiEntropy.catchUp;
  return {
    network: chain.genesis.name,
    chain: textOf(chain.id),
    role: self.author === undefined ? 'observer' : 'validator',
    actor: self.actor,
    epoch: chain.committee.epoch,
    n: chain.committee.size,
    quorum: chain.committee.quorum,
    round: roundClock.round,
    commits: orderer.state.last.index,
    finalSeq: summary.size,
    logRoot: summary.logRoot,
    stateRoot: summary.stateRoot,
    summaryHash: summaryHash(summary),
    projections: summary.projections.map((one) => ({ ...one })),
    pending: pool.size,
    peers: peers.length,
    quorumReachable: isQuorumReachable(core, self, peers),
    catchUp: { target, isRunning },
    alarms: alarmsOf(core),
  };
}

/** Whether this node and the validators it is connected to have a quorum's stake. */
export function isQuorumReachable(
  { chain: { committee } }: Pick<Core, 'chain'>,
  { author }: Pick<StatusOfSelf, 'author'>,
  peers: readonly PeerInfo[],
): boolean {
  const seen = new Set(peers.flatMap(({ actor }) => committee.indexOf(actor) ?? []));
  if (author !== undefined) seen.add(author);
  return committee.stakeOf(seen) >= committee.quorum;
}

function alarmsOf({
  replica: { alarm, counters, clockGuard, hasForgotten },
}: Core): LedgerStatus['alarms'] {
  const alarms: LedgerStatus['alarms'] = [];
  if (alarm) {
    const { round, author } = alarm;
    const where = `validator ${author} has two certified blocks in round ${round}`;
    const message = `Finality is halted: ${where}.`;
    alarms.push({ code: 'two_certificates', message });
  }
  if (counters.equivocations > 0) {
    const times = `${counters.equivocations} times since the start`;
    const message = `Validators signed two blocks for one slot, ${times}.`;
    alarms.push({ code: 'equivocation', message });
  }
  if (hasForgotten) {
    const message =
      'The store of this validator was lost or set back to an old copy: it only follows.';
    alarms.push({ code: 'store_forgotten', message });
  }
  if (clockGuard?.isSuspect === true) {
    const message =
      'The wall clock stepped: no blocks are sealed until peers confirm it. Check it.';
    alarms.push({ code: 'clock_stepped', message });
  }
  return alarms;
}
