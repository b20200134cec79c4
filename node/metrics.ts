import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Core } from '#ledger/core.ts';
import type { Clock, Id } from '#ledger/ports.ts';

/** Names of the metrics; each ends in its unit. Dashboards and tests take them from here. */
export const METRICS = {
  blocksAccepted: 'x0t_blocks_accepted_total',
  blocksSealed: 'x0t_blocks_sealed_total',
  blocksReceived: 'x0t_blocks_received_total',
  blocksKnown: 'x0t_blocks_known_total',
  blocksDropped: 'x0t_blocks_dropped_total',
  blocksHeld: 'x0t_blocks_held_total',
  blocksRejected: 'x0t_blocks_rejected_total',
  blocksFetched: 'x0t_blocks_fetched_total',
  blocksWaiting: 'x0t_waiting_blocks',
  equivocations: 'x0t_equivocations_total',
  commits: 'x0t_commits_total',
  finals: 'x0t_final_events_total',
  turns: 'x0t_replica_turns_total',
  eventsAccepted: 'x0t_events_accepted_total',
  eventsRefused: 'x0t_events_refused_total',
  poolEvents: 'x0t_pool_events',
  poolBytes: 'x0t_pool_bytes',
  epoch: 'x0t_entered_epochs',
  committeeSize: 'x0t_committee_validators',
  round: 'x0t_threshold_clock_rounds',
  logSize: 'x0t_log_events',
  exchanges: 'x0t_anti_entropy_exchanges_total',
  checkpointsSigned: 'x0t_checkpoints_signed_total',
  checkpointVotes: 'x0t_checkpoint_votes_total',
  checkpointsCertified: 'x0t_checkpoints_certified_total',
  doubleVotes: 'x0t_checkpoint_double_votes_total',
  certifiedSize: 'x0t_certified_log_events',
  certifiedAge: 'x0t_certified_log_age_seconds',
  halts: 'x0t_finality_halts_total',
  finality: 'x0t_accepted_to_final_seconds',
  httpRequests: 'x0t_http_requests_total',
  httpRefusals: 'x0t_http_refusals_total',
  streamClients: 'x0t_stream_clients',
  slowClients: 'x0t_stream_slow_clients_total',
} as const;

/** From one loopback round to the time that callers wait at most. */
const FINALITY_BUCKETS_S = [0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.7, 1, 2, 5, 10, 30, 60];
/** Events whose way to finality is timed at once; beyond them the oldest is forgotten. */
const TIMED_MAX = 100_000;

type Reading = readonly [name: string, help: string, read: (core: Core) => number];

const COUNTERS: readonly Reading[] = [
  [METRICS.blocksAccepted, 'Blocks in the DAG', (core) => core.replica.counters.blocksAccepted],
  [METRICS.blocksSealed, 'Blocks signed here', (core) => core.replica.counters.blocksSealed],
  [METRICS.blocksReceived, 'Blocks received', (core) => core.intake.counters.blocksReceived],
  [METRICS.blocksKnown, 'Blocks known before', (core) => core.intake.counters.blocksKnown],
  [METRICS.blocksDropped, 'Blocks dropped', (core) => core.intake.counters.blocksDropped],
  [METRICS.blocksHeld, 'Blocks held for their time', (core) => core.intake.counters.blocksHeld],
  [METRICS.blocksFetched, 'Missing parents fetched', (core) => core.fetcher.fetched],
  [METRICS.equivocations, 'Slots with two blocks', (core) => core.replica.counters.equivocations],
  [METRICS.commits, 'Commits decided', (core) => core.replica.counters.commits],
  [METRICS.finals, 'Events made final', (core) => core.replica.counters.finals],
  [METRICS.turns, 'Turns of the replica', (core) => core.replica.counters.turns],
  [METRICS.eventsAccepted, 'Events accepted', (core) => core.submissions.counters.accepted],
  [METRICS.exchanges, 'Anti-entropy exchanges', (core) => core.antiEntropy.exchanges],
  [METRICS.checkpointsSigned, 'Checkpoints signed', (core) => core.certifier.counters.signed],
  [METRICS.checkpointVotes, 'Valid votes of others', (core) => core.certifier.counters.votesTaken],
  [METRICS.checkpointsCertified, 'Certificates', (core) => core.certifier.counters.certified],
  [METRICS.halts, '1 once finality is halted', (core) => (core.replica.isHalted ? 1 : 0)],
  [METRICS.doubleVotes, 'Double votes', (core) => core.certifier.counters.doubleVotes],
];

const GAUGES: readonly Reading[] = [
  [METRICS.poolEvents, 'Accepted events that are not final', (core) => core.replica.pool.size],
  [METRICS.poolBytes, 'Bytes of those events', (core) => core.replica.pool.bytes],
  [METRICS.blocksWaiting, 'Blocks that wait for parents', (core) => core.replica.waiting.size],
  [METRICS.epoch, 'Epochs entered since the genesis', (core) => core.replica.committee.epoch],
  [METRICS.committeeSize, 'Validators', (core) => core.replica.committee.size],
  [METRICS.round, 'Round of the threshold clock', (core) => core.replica.roundClock.round],
  [METRICS.logSize, 'Events in the final log', (core) => core.replica.fold.size],
  [METRICS.certifiedSize, 'Events under the newest certificate', sizeCertified],
  [METRICS.certifiedAge, 'Age of that certificate', (core) => (core.certifier.age_ms ?? 0) / 1000],
];

function sizeCertified({ certifier }: Core): number {
  return certifier.latest?.checkpoint.size ?? 0;
}

type CodesReading = readonly [
  name: string, help: string, read: (core: Core) => ReadonlyMap<string, number>,
];

const REFUSALS: readonly CodesReading[] = [
  [METRICS.eventsRefused, 'Events refused, by code', (core) => core.submissions.counters.refused],
  [METRICS.blocksRejected, 'Blocks rejected, by code', (core) => core.intake.counters.rejected],
];

/** What the HTTP API counts. */
export interface ApiMeters {
  readonly refusals: Counter<'code'>;
  readonly requests: Counter<'method' | 'route' | 'status'>;
  readonly streamClients: Gauge;
  readonly slowClients: Counter;
}

/** The registry that `/metrics` shows, and the meters that others feed. */
export interface NodeMetrics {
  readonly registry: Registry;
  readonly finality: FinalityTimer;
  readonly api: ApiMeters;
  /** Ends the watching of the log. */
  stop(): void;
}

/** Ledger figures are read when somebody asks for them: counting costs nothing meanwhile. */
export function createMetrics(core: Core, clock: Pick<Clock, 'monotonic_ms'>): NodeMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const [name, help, read] of COUNTERS) {
    const counter = new Counter({
      name, help, registers: [],
      collect() {
        this.reset();
        this.inc(read(core));
      },
    });
    registry.registerMetric(counter);
  }
  for (const [name, help, read] of GAUGES) {
    const gauge = new Gauge({
      name, help, registers: [],
      collect() {
        this.set(read(core));
      },
    });
    registry.registerMetric(gauge);
  }
  for (const [name, help, read] of REFUSALS) {
    const counter = new Counter({
      name, help, registers: [], labelNames: ['code'],
      collect() {
        this.reset();
        for (const [code, count] of read(core)) this.inc({ code }, count);
      },
    });
    registry.registerMetric(counter);
  }
  const finality = new FinalityTimer(clock, new Histogram({
    name: METRICS.finality,
    help: 'From acceptance by this API to finality',
    buckets: FINALITY_BUCKETS_S,
    registers: [registry],
  }));
  const stop = core.onFinal((events) => {
    for (const { entry } of events) finality.final(entry.id);
  });
  return { registry, finality, api: apiMeters(registry), stop };
}

function apiMeters(registry: Registry): ApiMeters {
  const registers = [registry];
  return {
    requests: new Counter({
      name: METRICS.httpRequests,
      help: 'Requests answered, by method, route and status',
      labelNames: ['method', 'route', 'status'],
      registers,
    }),
    refusals: new Counter({
      name: METRICS.httpRefusals,
      help: 'Requests refused because of who sends them, or how many, by code',
      labelNames: ['code'],
      registers,
    }),
    streamClients: new Gauge({
      name: METRICS.streamClients,
      help: 'Open event streams',
      registers,
    }),
    slowClients: new Counter({
      name: METRICS.slowClients,
      help: 'Event streams ended because the client did not read',
      registers,
    }),
  };
}

/** Times events from their arrival at this node's API to finality. */
export class FinalityTimer {
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #histogram: Histogram;
  /** When each event arrived, oldest first. */
  readonly #started_ms = new Map<Id, number>();

  constructor(clock: Pick<Clock, 'monotonic_ms'>, histogram: Histogram) {
    this.#clock = clock;
    this.#histogram = histogram;
  }

  now_ms(): number {
    return this.#clock.monotonic_ms();
  }

  /** The event arrived at `at_ms` and was accepted; a second call for one id changes nothing. */
  started(id: Id, at_ms: number): void {
    if (this.#started_ms.has(id)) return;
    this.#started_ms.set(id, at_ms);
    if (this.#started_ms.size <= TIMED_MAX) return;
    for (const oldest of this.#started_ms.keys()) {
      this.#started_ms.delete(oldest);
      break;
    }
  }

  final(id: Id): void {
    const at_ms = this.#started_ms.get(id);
    if (at_ms === undefined) return;
    this.#started_ms.delete(id);
    this.#histogram.observe((this.now_ms() - at_ms) / 1000);
  }
}
