import { createServer } from 'node:net';
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
 * Where this process looks for ports. Below those that kernels give to connections and to who asks
 * for any: one of these may be another's, or a connection's to itself, before its node listens.
 */
let port = 10_000 + ((process.pid * 64) % 20_000);

/** Ports that are free, and that no other process of these tests looks at now. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (; ports.length < count; port += 1) if (await isFree(port)) ports.push(port);
  return ports;
}

function isFree(one: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(one, '127.0.0.1', () => server.close(() => resolve(true)));
  });
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
  const ports = await freePorts(2 * (nodes + 1));
  const inviter = await makeActor();
  const all = [...operators, inviter.actor];
  const genesis = makeGenesis('loopback', keys.slice(0, nodes), all, Date.now());
  for (const [i, directory] of directories.entries()) {
    const others = keys
      .slice(0, nodes)
      .flatMap(({ peer }, j) => (i === j ? [] : `/ip4/127.0.0.1/tcp/${ports[j]}/p2p/${peer}`));
    const config: PartialConfig = {
      api: { port: ports[nodes + 1 + i] as number },
      p2p: { listen: [`/ip4/127.0.0.1/tcp/${ports[i]}`], bootstrap: others },
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

/** Waits until every node is linked to all others. */
export async function untilMeshed(nodes: readonly DrivenNode[]): Promise<void> {
  for (let i = 0; i < 600; i++) {
    const reports = await Promise.all(nodes.map((node) => node.report()));
    if (reports.every(({ peers }) => peers >= nodes.length - 1)) return;
    await sleep(100);
  }
  throw new Error('the nodes did not find each other in 60 s');
}

/** Waits until the ledger has the node as an active member: who joins needs a moment. */
export async function untilActive(node: DrivenNode): Promise<void> {
  for (let i = 0; i < 900; i++) {
    const answer = await node.fetch('/v1/status');
    const { membership } = (await answer.json()) as { membership: string };
    if (membership === 'active') return;
    await sleep(100);
  }
  throw new Error('the node is no active member after 90 s');
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
  for (let i = 0; i < 900; i++) {
    const all = await Promise.all(nodes.map(statusOf));
    if (all.every((one) => one.epoch === epoch)) return;
    await sleep(100);
  }
  throw new Error(`not all are in epoch ${epoch} after 90 s`);
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
