import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import type { PartialConfig } from '#node/config.ts';
import { FRUGAL } from '#node/frugal.ts';
import type { Id } from '#ledger/ports.ts';
import type { Command, Report } from './node-process.ts';

/** A network of node processes on loopback, for tests and measurements. */

export interface NodeProcess {
  readonly directory: string;
  readonly url: string;
  /** libp2p peer id. */
  readonly peer: string;
  readonly pid: number;
  ask(command: Command): Promise<unknown>;
  report(): Promise<Report>;
  stop(): Promise<void>;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  /** Resolves when the process has ended, with its exit code or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
}

/** Ports that are free now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(
    servers.map((server) => new Promise((resolve) => server.once('listening', resolve))),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * Data directories of `nodes` validators, and one of an observer; they know each other's addresses.
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
  const genesis = makeGenesis('loopback', keys.slice(0, nodes), operators, Date.now());
  for (const [i, directory] of directories.entries()) {
    const others = keys
      .slice(0, nodes)
      .flatMap(({ peer }, j) => (i === j ? [] : `/ip4/127.0.0.1/tcp/${ports[j]}/p2p/${peer}`));
    const config: PartialConfig = {
      api: { port: ports[nodes + 1 + i] as number },
      p2p: { listen: [`/ip4/127.0.0.1/tcp/${ports[i]}`], bootstrap: others },
    };
    await finishDataDir(directory, genesis, config);
  }
  return directories;
}

/**
 * Starts a node process and waits until it is up; rejects when it ends before. `config` wins over
 * its file. With `lifetime_ms` it gets a `kill -9` that long after its start, up or not.
 */
export async function startProcess(
  directory: string,
  config: PartialConfig = {},
  lifetime_ms?: number,
): Promise<NodeProcess> {
  const args = [directory, JSON.stringify(config)];
  const child = fork(new URL('node-process.ts', import.meta.url), args, {
    execArgv: [...process.execArgv, ...FRUGAL.flags],
    env: { ...process.env, ...FRUGAL.env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...(lifetime_ms !== undefined && { timeout: lifetime_ms, killSignal: 'SIGKILL' }),
  });
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 0));
  });
  const { url, peer } = (await answerOf(child, 'ready')) as { url: string; peer: string };
  const ask = (command: Command): Promise<unknown> => {
    const answer = answerOf(child, command.type);
    // a process that is gone answers with its end
    child.send(command, () => undefined);
    return answer;
  };
  return {
    directory,
    url,
    peer,
    pid: child.pid as number,
    ask,
    report: () => ask({ type: 'report' }) as Promise<Report>,
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      if (child.exitCode === null) child.send({ type: 'stop' } satisfies Command, () => undefined);
      await Promise.race([exited, sleep(10_000).then(() => child.kill('SIGKILL'))]);
    },
  };
}

function answerOf(child: ChildProcess, type: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = (): Error => new Error(`a node process ended with ${child.exitCode}`);
    if (child.exitCode !== null || child.signalCode !== null) {
      reject(gone());
      return;
    }
    const onMessage = (message: { type: string; answer: unknown }) => {
      if (message.type !== type) return;
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(message.answer);
    };
    const onExit = (): void => {
      child.off('message', onMessage);
      reject(gone());
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
  });
}

/** Waits until every node is linked to all others. */
export async function untilMeshed(nodes: readonly NodeProcess[]): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const reports = await Promise.all(nodes.map((node) => node.report()));
    if (reports.every(({ peers }) => peers >= nodes.length - 1)) return;
    await sleep(100);
  }
  throw new Error('the nodes did not find each other in 20 s');
}

/**
 * Waits until all nodes have at least `size` final events; returns their reports. Throws after
 * `seconds`.
 */
export async function untilFinal(
  nodes: readonly NodeProcess[],
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
