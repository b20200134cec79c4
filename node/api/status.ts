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
  epochEnding: Type.Boolean({
    description: 'the epoch has ended here and waits for its certificate',
  }),
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
    snapshot: Type.Optional(
      Type.Object({
        size: Type.Integer({ description: 'final events that it covers' }),
        done_bytes: Count,
        total_bytes: Count,
      }),
    ),
  }),
  log: Type.Object({
    from: Type.Integer({ description: 'number of the first final event that is held' }),
    retention: Type.Union([Type.Literal('archive'), Type.Object({ events: Count })]),
  }),
  checkpoint: Type.Optional(
    Type.Object(
      {
        size: Type.Integer({ description: 'final events that it covers' }),
        cut: Type.Enum(['periodic', 'idle', 'epoch']),
        id: Type.String({ description: 'its CID' }),
        ts_ms: Type.Integer({
          description: 'time of its last commit, milliseconds since the Unix epoch',
        }),
        age_ms: Type.Integer({ description: 'since then' }),
      },
      { description: 'the newest one that a quorum has signed' },
    ),
  ),
  alarms: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
};

const Listener = { host: Type.String(), port: Count };
const ApiReply = Type.Object(
  {
    http: Type.Object(Listener),
    https: Type.Optional(
      Type.Object({
        ...Listener,
        state: Type.Enum(['waiting', 'ready'], { description: 'whether it has a certificate' }),
        spiffeId: Type.Optional(Type.String({ description: 'that it shows' })),
        notAfter_ms: Type.Optional(Type.Integer({ description: 'when its certificate ends' })),
      }),
    ),
    proofs: Type.Array(Type.String(), { description: 'ways to prove who calls' }),
  },
  { description: 'Where this API listens, and how callers prove who they are' },
);

/** The answer of `/v1/status`; what the ledger does not know the node adds. */
export const StatusReply = Type.Object(
  {
    name: Type.String({ description: 'name of this node' }),
    version: Type.String({ description: 'of the software' }),
    engine: Type.String({ description: 'what checks signatures' }),
    peer: Type.String({ description: 'libp2p peer id' }),
    key: Type.String({ description: "the actor's present COSE_Key, base64" }),
    heldKeys: Type.Optional(
      Type.Array(Type.String(), { description: 'SHA-256 of further keys that it can sign with' }),
    ),
    addrs: Type.Array(Type.String(), { description: 'multiaddrs at which it can be reached' }),
    membership: Type.Enum(
      ['none', 'joining', 'active', 'cordoned', 'draining', 'retired', 'removed'],
      { description: 'the state of its actor on the ledger' },
    ),
    refusal: Type.Optional(
      Type.String({ description: 'why other nodes refuse this one, where it is linked to none' }),
    ),
    ...LEDGER,
    api: Type.Optional(ApiReply),
    identity: Type.Optional(
      Type.Object(
        {
          trustDomain: Type.Optional(Type.String({ description: 'SPIFFE trust domain' })),
          provider: Type.Enum(['off', 'starting', 'ready', 'unavailable'], {
            description: 'the Workload API that this node serves',
          }),
          client: Type.Enum(['off', 'waiting', 'ready', 'denied', 'refused'], {
            description: 'the Workload API from which this node takes its own SVID',
          }),
          spiffeId: Type.Optional(Type.String({ description: "this node's own" })),
          callers: Type.Integer({ description: 'connections to the Workload API' }),
          endpoint: Type.Optional(Type.Integer({ description: 'port of the bundle endpoint' })),
        },
        { description: 'SPIFFE on this host' },
      ),
    ),
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
export type ApiStatus = Static<typeof ApiReply>;
export type LedgerStatus = Static<typeof LedgerPart>;

/** The node as far as the status needs it. */
export interface StatusOfSelf {
  readonly actor: Id;
}

/** What the ledger says of itself; `peers` are those with an accepted hello. */
export function statusOf(core: Core, self: StatusOfSelf, peers: readonly PeerInfo[]): LedgerStatus {
  const { chain, replica, antiEntropy } = core;
  const { committee, fold, orderer, pool, roundClock } = replica;
  const summary = fold.summary();
  const { target, isRunning, snapshot } = antiEntropy.catchUp;
  return {
    network: chain.genesis.name,
    chain: textOf(chain.id),
    role: replica.author === undefined ? 'observer' : 'validator',
    actor: self.actor,
    epoch: committee.epoch,
    epochEnding: orderer.isEnded,
    n: committee.size,
    quorum: committee.quorum,
    round: roundClock.round,
    commits: orderer.state.last.index,
    finalSeq: summary.size,
    logRoot: summary.logRoot,
    stateRoot: summary.stateRoot,
    summaryHash: summaryHash(summary),
    projections: summary.projections.map((one) => ({ ...one })),
    pending: pool.size,
    peers: peers.length,
    quorumReachable: isQuorumReachable(core, peers),
    catchUp: { target, isRunning, ...(snapshot && { snapshot: { ...snapshot } }) },
    log: { from: core.log.from, retention: core.snapshots.pruner.retention },
    ...checkpointOf(core),
    alarms: alarmsOf(core),
  };
}

/** Whether this node and the validators it is connected to have a quorum's stake. */
export function isQuorumReachable(
  { replica: { author, committee } }: Pick<Core, 'replica'>,
  peers: readonly PeerInfo[],
): boolean {
  const seen = new Set(peers.flatMap(({ actor }) => committee.indexOf(actor) ?? []));
  if (author !== undefined) seen.add(author);
  return committee.stakeOf(seen) >= committee.quorum;
}

function checkpointOf({ certifier }: Core): Pick<LedgerStatus, 'checkpoint'> {
  const { latest, age_ms = 0 } = certifier;
  if (!latest) return {};
  const { size, cut, id, ts_ms } = latest.checkpoint;
  return { checkpoint: { size, cut, id: textOf(id), ts_ms, age_ms } };
}

function alarmsOf({
  replica: { alarm, counters, clockGuard, hasForgotten },
  certifier,
  snapshots,
}: Core): LedgerStatus['alarms'] {
  const alarms: LedgerStatus['alarms'] = [];
  if (alarm) {
    const { round, author } = alarm;
    const where = `validator ${author} has two certified blocks in round ${round}`;
    const message = `Finality is halted: ${where}.`;
    alarms.push({ code: 'two_certificates', message });
  }
  const { diverged } = certifier;
  if (diverged) {
    const { size, own, theirs } = diverged;
    const what = `this node has ${textOf(own)}, others signed ${textOf(theirs)}`;
    const message = `Finality is halted: checkpoints of ${size} events differ: ${what}.`;
    alarms.push({ code: 'checkpoint_diverged', message });
  }
  if (certifier.counters.doubleVotes > 0) {
    const times = `${certifier.counters.doubleVotes} times since the start`;
    const message = `Validators signed two checkpoints of one size, ${times}.`;
    alarms.push({ code: 'double_vote', message });
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
  if (snapshots.sync.hasContradiction) {
    const message = 'A certified snapshot contradicts the log of this node: nothing was replaced.';
    alarms.push({ code: 'snapshot_contradicts', message });
  }
  if (clockGuard?.isSuspect === true) {
    const message =
      'The wall clock stepped: no blocks are sealed until peers confirm it. Check it.';
    alarms.push({ code: 'clock_stepped', message });
  }
  return alarms;
}
