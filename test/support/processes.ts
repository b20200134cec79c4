import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '#node/api/index.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import type { NodeKeys } from '#node/data-dir.ts';
import { openChain } from '#ledger/chain.ts';
import { inviteAhead } from '#node/membership/invite-ahead.ts';
import { writePendingJoin } from '#node/membership/join-file.ts';
import { makeActor } from './cluster.ts';
import type { PartialConfig } from '#node/config.ts';
import { Subprocess } from '#node/subprocess.ts';
import type { SubprocessOptions } from '#node/subprocess.ts';
import type { Id } from '#ledger/ports.ts';
import type { Command, Report } from './driven-node.ts';
import { fetchAs } from './fetch-as.ts';
import { freePorts } from './ports.ts';

/** A network of node processes on loopback, for tests and measurements. */

const PROGRAM = join(import.meta.dirname, 'driven-node.ts');

/** Told what to do over the IPC channel: see `driven-node.ts`. */
export class DrivenNode extends Subprocess {
  readonly directory: string;
  /** Base URL of the API and libp2p peer id, once it is up. */
  url = '';
  peer = '';

  private constructor(directory: string, config: PartialConfig, options: SubprocessOptions) {
    super(PROGRAM, [directory, JSON.stringify(config)], options);
    this.directory = directory;
  }

  /**
   * Starts a node and waits until it is up; rejects when it ends before. `config` wins over its
   * file. With `lifetime_ms` it gets a `kill -9` that long after its start, up or not.
   */
  static async start(
    directory: string,
    config: PartialConfig = {},
    lifetime_ms?: number,
  ): Promise<DrivenNode> {
    const options = lifetime_ms === undefined ? {} : { lifetime_ms };
    const node = new DrivenNode(directory, config, options);
    Object.assign(node, await node.#answer('ready'));
    return node;
  }

  /** Asks its API as the operator of its data directory. */
  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetchAs(this.directory, `${this.url}${path}`, init);
  }

  ask(command: Command): Promise<unknown> {
    const answer = this.#answer(command.type);
    // a process that is gone answers with its end
    this.child.send(command, () => undefined);
    return answer;
  }

  report(): Promise<Report> {
    return this.ask({ type: 'report' }) as Promise<Report>;
  }

  #answer(type: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: { type: string; answer: unknown }): void => {
        if (message.type !== type) return;
        end();
        resolve(message.answer);
      };
      const onExit = (): void => {
        end();
        reject(new Error(`a node process ended with ${this.exit?.reason}`));
      };
      const end = (): void => {
        this.child.off('message', onMessage);
        this.child.off('exit', onExit);
      };
      this.child.on('message', onMessage);
      this.child.on('exit', onExit);
      if (this.exit) onExit();
    });
  }
}

/**
 * Data directories of `nodes` validators, and one of an observer that an operator of its own has
 * invited; they know each other's addresses.
 */
export async function makeNet(
  base: string,
  nodes: number,
  operators: readonly Id[],
): Promise<readonly string[]> {
  const directories = Array.from({ length: nodes + 1 }, (_, i) =>
    join(base, i < nodes ? `node-${i + 1}` : 'observer'),
  );
  const keys = [];
  for (const directory of directories) keys.push(await createNodeKeys(directory));
  const port = await freePorts(2 * (nodes + 1));
  const inviter = await makeActor();
  const all = [...operators, inviter.actor];
  const genesis = makeGenesis('loopback', keys.slice(0, nodes), all, Date.now());
  for (const [i, directory] of directories.entries()) {
    const others = keys
      .slice(0, nodes)
      .flatMap(({ peer }, j) => (i === j ? [] : `/ip4/127.0.0.1/tcp/${port + j}/p2p/${peer}`));
    const config: PartialConfig = {
      api: { port: port + nodes + 1 + i },
      p2p: { listen: [`/ip4/127.0.0.1/tcp/${port + i}`], bootstrap: others },
    };
    if (i === nodes) {
      const { id: chain } = openChain(genesis);
      const node = keys[i] as NodeKeys;
      const ahead = { chain, operator: inviter, node, roles: ['observer'] as const, seq: 0 };
      await writePendingJoin(directory, await inviteAhead({ ...ahead, addrs: others.slice(0, 8) }));
    }
    await finishDataDir(directory, genesis, config);
  }
  return directories;
}

/** What a loaded machine is given for anything. */
const LOOKS_MAX = 900;
const LOOK_MS = 100;

/** Looks again and again; resolves with what was seen first. */
export async function untilSeen<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  for (let i = 0; i < LOOKS_MAX; i++) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await sleep(LOOK_MS);
  }
  throw new Error(`not after ${(LOOKS_MAX * LOOK_MS) / 1000} s: ${what}`);
}

/** Waits until every node is linked to all others. */
export async function untilMeshed(nodes: readonly DrivenNode[]): Promise<void> {
  await untilSeen('the nodes find each other', async () => {
    const reports = await Promise.all(nodes.map((node) => node.report()));
    return reports.every(({ peers }) => peers >= nodes.length - 1);
  });
}

/** Waits until the ledger has the node as an active member: who joins needs a moment. */
export async function untilActive(node: DrivenNode): Promise<void> {
  await untilSeen('the node is an active member', async () => {
    const answer = await node.fetch('/v1/status');
    const { membership } = (await answer.json()) as { membership: string };
    return membership === 'active';
  });
}

/**
 * Waits until all nodes have at least `size` final events; returns their reports. Throws after
 * `seconds`.
 */
export async function untilFinal(
  nodes: readonly DrivenNode[],
  size: number,
  seconds: number,
): Promise<readonly Report[]> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const reports = await Promise.all(nodes.map((node) => node.report()));
    if (reports.every((report) => report.size >= size)) return reports;
    if (Date.now() > deadline) {
      const sizes = reports.map((report) => report.size).join();
      throw new Error(`not final in ${seconds} s: ${sizes} of ${size}`);
    }
    await sleep(100);
  }
}

export async function statusOf(node: DrivenNode): Promise<NodeStatus> {
  return (await (await node.fetch('/v1/status')).json()) as NodeStatus;
}

/** Waits until all stand in an epoch. */
export async function untilIn(nodes: readonly DrivenNode[], epoch: number): Promise<void> {
  await untilSeen(`all are in epoch ${epoch}`, async () => {
    const all = await Promise.all(nodes.map(statusOf));
    return all.every((one) => one.epoch === epoch);
  });
}

/**
 * Waits until all hold one log and one state, with nothing pending: what was not acknowledged, and
 * what nodes say by themselves, may become final late. Resolves with what they say then.
 */
export async function untilSame(nodes: readonly DrivenNode[]): Promise<readonly NodeStatus[]> {
  return untilSeen('all hold one state', async () => {
    const all = await Promise.all(nodes.map(statusOf));
    const isQuiet = all.every(({ pending }) => pending === 0);
    return isQuiet && new Set(all.map((one) => one.summaryHash)).size === 1 && all;
  });
}

/** Options by which a command speaks to a node as its operator. */
export function tokenOf({ directory }: DrivenNode): readonly string[] {
  return ['--token-file', tokenFile(directory, 'operator')];
}

/** Has the node write a key, whose name is its value; it is acknowledged. */
export async function put(node: DrivenNode, key: string): Promise<void> {
  const path = `/v1/kv/${encodeURIComponent(key)}`;
  const answer = await node.fetch(path, { method: 'PUT', body: key });
  if (answer.status !== 202) throw new Error(`PUT answered ${answer.status}`);
}
