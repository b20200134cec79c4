/** The network of compose.yaml, and what must hold of it after every scenario. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from './api.ts';
import type { Status } from './api.ts';
import { Compose } from './docker.ts';
import type { Load } from './load.ts';
import { readRequestKey } from './sign.ts';
import type { RequestKey } from './sign.ts';

export const VALIDATORS: readonly string[] = ['node-1', 'node-2', 'node-3', 'node-4'];
export const NODES: readonly string[] = [...VALIDATORS, 'observer', 'auditor'];

const POLL_MS = 250;
/** Generous: the machine may have little time for us. */
const SETTLE_MS = 120_000;
const READY_MS = 120_000;

/** How the network stands, all nodes alike. */
export interface Settled {
  readonly status: Status;
  /** Final events that the auditor has verified. */
  readonly audited: number;
  /** Nodes whose roots it has compared with its own. */
  readonly compared: number;
}

export class Network {
  readonly compose: Compose;
  #apis = new Map<string, Api>();
  /** Read when it is needed first: before `up` there is none. */
  #key: RequestKey | undefined;

  constructor(project: string) {
    this.compose = new Compose(project);
  }

  /** Asks for the ports anew: the engine may have given others after a restart. */
  async find(names: readonly string[] = NODES): Promise<void> {
    this.#key ??= readRequestKey(await this.compose.operatorKey());
    for (const name of names) {
      const api = new Api(await this.compose.url(name), `${name}.api:8420`, this.#key);
      this.#apis.set(name, api);
    }
  }

  api(name: string): Api {
    const api = this.#apis.get(name);
    if (!api) throw new Error(`${name} is not known: is the network up?`);
    return api;
  }

  apis(names: readonly string[]): Map<string, Api> {
    return new Map(names.map((name) => [name, this.api(name)]));
  }

  async untilReady(name: string): Promise<void> {
    await poll(`${name} is ready`, READY_MS, async () => {
      // a container that was started anew may have another port
      await this.find([name]).catch(() => undefined);
      return this.api(name).isReady();
    });
  }

  async untilStatus(
    name: string,
    what: string,
    holds: (status: Status) => boolean,
  ): Promise<Status> {
    let last: Status | undefined;
    await poll(`${name}: ${what}`, SETTLE_MS, async () => {
      last = await this.api(name).status();
      return holds(last);
    });
    return last as Status;
  }

  /**
   * Waits until all nodes have the same final state with nothing pending, and the auditor has
   * verified it whole. Nodes may author events of their own meanwhile, such as reports of who could
   * not be reached: so it may have verified more. Throws what is not so in time, also where a node
   * goes on raising an alarm.
   */
  async settle(): Promise<Settled> {
    let all: Status[] = [];
    await poll('all nodes have the same final state', SETTLE_MS, async () => {
      all = await Promise.all(NODES.map((name) => this.api(name).status()));
      assertNoAlarm(all);
      const [first] = all as [Status];
      const differs = all.find(({ summaryHash, pending, epoch }) => {
        return summaryHash !== first.summaryHash || epoch !== first.epoch || pending !== 0;
      });
      if (differs) throw new Error(`${brief(first)}; ${brief(differs)}`);
      return true;
    });
    const [status] = all as [Status];
    let audited = 0;
    let compared = 0;
    await poll('the auditor has verified it and compared all nodes', SETTLE_MS, async () => {
      assertNoAlarm([await this.api('auditor').status()]);
      const metrics = await this.api('auditor').metrics();
      audited = metrics.get('x0t_audited_log_events') ?? 0;
      compared = metrics.get('x0t_audit_compared_nodes') ?? 0;
      if (audited >= status.finalSeq && compared === NODES.length - 1) return true;
      throw new Error(`${audited} of ${status.finalSeq} events, ${compared} nodes compared`);
    });
    if (!(await this.api('auditor').isReady())) throw new Error('the auditor is not ready');
    return { status, audited, compared };
  }

  /** Everything that was acknowledged is final on every node, with its value. */
  async assertKept({ acknowledged, prefix }: Load): Promise<void> {
    for (const name of NODES) {
      const found = await this.api(name).keys(prefix);
      const lost = [...acknowledged].filter(([key, value]) => found.get(key) !== value);
      if (lost.length === 0) continue;
      throw new Error(`${name} lacks ${lost.length} acknowledged writes: ${lost[0]?.[0]} ...`);
    }
  }
}

function brief({ name, epoch, finalSeq, pending, summaryHash }: Status): string {
  const state = summaryHash.slice(0, 12);
  return `${name}: epoch ${epoch}, ${finalSeq} final, ${pending} pending, state ${state}`;
}

function assertNoAlarm(all: readonly Status[]): void {
  for (const { name, alarms } of all) {
    for (const { code, message } of alarms) throw new Error(`${name}: ${message} (${code})`);
  }
}

/** Asks until it holds; a question that fails is asked again. Throws with the last failure. */
export async function poll(
  what: string,
  limit_ms: number,
  holds: () => Promise<boolean>,
): Promise<void> {
  const end_ms = performance.now() + limit_ms;
  for (;;) {
    let reason = '';
    try {
      if (await holds()) return;
    } catch (error) {
      reason = `: ${(error as Error).message}`;
    }
    if (performance.now() > end_ms) {
      throw new Error(`not in ${limit_ms / 1000} s: ${what}${reason}`);
    }
    await sleep(POLL_MS);
  }
}
