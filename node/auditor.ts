import { setTimeout as sleep } from 'node:timers/promises';
import { Counter, Gauge } from 'prom-client';
import { codeOf } from '#ledger/errors.ts';
import type { Summary } from '#ledger/fold.ts';
import { textOf } from '#ledger/ids.ts';
import type { Clock, Log } from '#ledger/ports.ts';
import { auditStore } from '#node/audit/index.ts';
import type { AuditReport } from '#node/audit/index.ts';
import type { ClientAuth } from './client-auth.ts';
import { Client } from './client.ts';
import { networkFetch } from './network-fetch.ts';
import type { Node, Overseer } from './node.ts';
import { schemaFor } from './schema.ts';

/** Names of the metrics that an auditor adds to its node's. */
export const AUDIT_METRICS = {
  runs: 'x0t_audit_runs_total',
  faults: 'x0t_audit_faults_total',
  signatures: 'x0t_audit_signatures_total',
  duration: 'x0t_audit_duration_seconds',
  size: 'x0t_audited_log_events',
  age: 'x0t_audited_log_age_seconds',
  compared: 'x0t_audit_compared_nodes',
  unreachable: 'x0t_audit_unreachable_nodes',
} as const;

/** A node that is asked, and how the auditor proves who it is. */
export interface Watched {
  readonly url: string;
  readonly auth: ClientAuth;
}

export interface AuditorOptions {
  /** APIs of the nodes whose roots are compared with the audited ones. */
  readonly watch: readonly Watched[];
  /** Least pause between two audits, ms; a longer audit is followed by as long a pause. */
  readonly every_ms: number;
  /** Threads that verify. */
  readonly workers: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Fault {
  readonly code: 'audit_found' | 'node_differs';
  readonly message: string;
}

/** The last audit that passed. */
interface Passed {
  /** Final events that it covered. */
  readonly size: number;
  readonly duration_ms: number;
  /** When it ended, on the monotonic clock. */
  readonly at_ms: number;
}

/** Faults that are kept and shown: one is enough to stop trusting. */
const FAULTS_MAX = 16;
const ASK_TIMEOUT_MS = 5000;

/**
 * Verifies the log of the node that it lives in, over and over from the genesis on, while the node
 * follows the network: signatures, the commit rule, the state (docs/audit.md). Then compares with
 * what other nodes report: their roots where they stand at the audited size, else the newest
 * checkpoint that they show as certified. A fault is never taken back: from then on the node is not
 * ready, until somebody has looked and started it again.
 */
export class Auditor implements Overseer {
  readonly #options: AuditorOptions;
  readonly #clients: readonly Client[];
  readonly #node = Promise.withResolvers<Pick<Node, 'trust'>>();
  readonly #faults: Fault[] = [];
  readonly #counts = { runs: 0, faults: 0, signatures: 0, compared: 0, unreachable: 0 };
  #last: Passed | undefined;

  constructor(options: AuditorOptions) {
    this.#options = options;
    const secureFetch = networkFetch(async () => (await this.#node.promise).trust());
    this.#clients = options.watch.map(
      ({ url, auth }) => new Client(url, { timeout_ms: ASK_TIMEOUT_MS, auth, secureFetch }),
    );
  }

  get faults(): readonly Fault[] {
    return this.#faults;
  }

  alarms(): { code: string; message: string }[] {
    return this.#faults.map(({ code, message }) => ({ code, message }));
  }

  reasons(): readonly string[] {
    if (this.#faults.length > 0) return ['the audit found a fault: see the alarms in /v1/status'];
    return this.#last ? [] : ['nothing is audited yet'];
  }

  /**
   * Audits until `stopped`, or until a fault ends the use of going on. Throws `pruned` where the
   * node does not hold the whole log.
   */
  async run(
    node: Pick<Node, 'core' | 'store' | 'metrics' | 'trust'>,
    stopped: AbortSignal,
  ): Promise<void> {
    this.#register(node.metrics.registry);
    this.#node.resolve(node);
    const { every_ms, clock, log } = this.#options;
    while (!stopped.aborted) {
      const began_ms = clock.monotonic_ms();
      try {
        await this.#look(node);
      } catch (error) {
        if (stopped.aborted) return;
        if (codeOf(error) === 'pruned') throw error;
        log.warn({ code: codeOf(error) }, 'an audit could not be finished');
      }
      const pause_ms = Math.max(every_ms, clock.monotonic_ms() - began_ms);
      await sleep(pause_ms, undefined, { signal: stopped }).catch(() => undefined);
    }
  }

  async #look({ core, store }: Pick<Node, 'core' | 'store'>): Promise<void> {
    const { workers, clock, log } = this.#options;
    const frozen = store.frozen();
    let report: AuditReport;
    try {
      report = await auditStore(frozen, { schema: schemaFor, genesis: core.chain.id, workers });
    } finally {
      await frozen.close();
    }
    this.#counts.runs += 1;
    this.#counts.signatures += report.signatures;
    const { finding, summary } = report;
    if (finding || !summary) {
      const { code = 'unknown', message = '', place = {} } = finding ?? {};
      this.#found('audit_found', `${message} (${code}) ${JSON.stringify(place)}`);
      return;
    }
    await this.#compareAll(core, summary);
    this.#last = {
      size: summary.size,
      duration_ms: report.elapsed_ms,
      at_ms: clock.monotonic_ms(),
    };
    const { compared, unreachable } = this.#counts;
    const { signatures } = report;
    log.info({ size: summary.size, signatures, compared, unreachable }, 'audited');
  }

  /** A node that does not answer is no fault: it may be down. */
  async #compareAll(core: Node['core'], summary: Summary): Promise<void> {
    const asked = await Promise.allSettled(
      this.#clients.map((client) => this.#compare(client, core, summary)),
    );
    const answered = asked.filter((one) => one.status === 'fulfilled');
    this.#counts.compared = answered.filter(({ value }) => value).length;
    this.#counts.unreachable = asked.length - answered.length;
  }

  /** Whether there was something to compare with. */
  async #compare(client: Client, core: Node['core'], summary: Summary): Promise<boolean> {
    const status = await client.status();
    const { chain, finalSeq, logRoot, stateRoot, checkpoint } = status;
    const whose = `${status.name} at ${client.url}`;
    if (chain !== textOf(core.chain.id)) {
      this.#found('node_differs', `${whose} is of another network: ${chain}.`);
      return true;
    }
    const isSameSize = finalSeq === summary.size;
    if (isSameSize && (logRoot !== summary.logRoot || stateRoot !== summary.stateRoot)) {
      const roots = `log ${logRoot} and state ${stateRoot}`;
      const own = `log ${summary.logRoot} and state ${summary.stateRoot}`;
      this.#found('node_differs', `${whose} has ${roots} after ${finalSeq} events, not ${own}.`);
    }
    if (!checkpoint || checkpoint.size > summary.size) return isSameSize;
    const own = await core.certifier.at(checkpoint.size);
    if (!own || own.checkpoint.cut !== checkpoint.cut) return isSameSize;
    const id = textOf(own.checkpoint.id);
    if (checkpoint.id !== id) {
      const shown = `the checkpoint ${checkpoint.id} of ${checkpoint.size} events`;
      this.#found('node_differs', `${whose} shows ${shown} as certified, not ${id}.`);
    }
    return true;
  }

  #found(code: Fault['code'], message: string): void {
    this.#counts.faults += 1;
    this.#options.log.error({ code }, message);
    const isKnown = this.#faults.some((one) => one.message === message);
    if (!isKnown && this.#faults.length < FAULTS_MAX) this.#faults.push({ code, message });
  }

  #register(registry: Node['metrics']['registry']): void {
    const { clock } = this.#options;
    const counters = [
      [AUDIT_METRICS.runs, 'Audits from the genesis on', () => this.#counts.runs],
      [AUDIT_METRICS.faults, 'Faults found', () => this.#counts.faults],
      [AUDIT_METRICS.signatures, 'Signatures verified', () => this.#counts.signatures],
    ] as const;
    for (const [name, help, read] of counters) {
      const counter = new Counter({
        name, help, registers: [],
        collect() {
          this.reset();
          this.inc(read());
        },
      });
      registry.registerMetric(counter);
    }
    const age_s = (): number =>
      this.#last ? (clock.monotonic_ms() - this.#last.at_ms) / 1000 : 0;
    const gauges = [
      [AUDIT_METRICS.duration, 'The last audit took', () => (this.#last?.duration_ms ?? 0) / 1000],
      [AUDIT_METRICS.size, 'Events that the last audit covered', () => this.#last?.size ?? 0],
      [AUDIT_METRICS.age, 'Since the last audit that passed', age_s],
      [AUDIT_METRICS.compared, 'Nodes compared with', () => this.#counts.compared],
      [AUDIT_METRICS.unreachable, 'Nodes that did not answer', () => this.#counts.unreachable],
    ] as const;
    for (const [name, help, read] of gauges) {
      const gauge = new Gauge({
        name, help, registers: [],
        collect() {
          this.set(read());
        },
      });
      registry.registerMetric(gauge);
    }
  }
}
