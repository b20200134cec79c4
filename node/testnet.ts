import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openChain } from '#ledger/chain.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import type { NodeConfig, PartialConfig } from './config.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from './data-dir.ts';
import type { NodeKeys } from './data-dir.ts';
import { createKeyFile, writeNewFile } from './keys.ts';
import { newGenesisSchema } from './schema.ts';
import { systemClock } from './system.ts';

/**
 * A network on one machine: `DIR/node-1` to `DIR/node-N` are data directories of validators,
 * `DIR/operators` holds keys of members who run no node, and `DIR/testnet.json` says where all is.
 * Nothing in it is a secret of more than a test.
 */

export interface TestnetNode {
  readonly name: string;
  readonly directory: string;
  readonly apiPort: number;
  readonly p2pPort: number;
  readonly actor: string;
  readonly peer: string;
  /** Base URL of its API. */
  readonly url: string;
}

export interface Testnet {
  readonly directory: string;
  /** CID of the genesis object. */
  readonly chain: string;
  readonly nodes: readonly TestnetNode[];
  /** Key files of the operators. */
  readonly operators: readonly string[];
}

export interface TestnetOptions {
  /** Validators. */
  readonly nodes: number;
  /** Keys of operators to make: actors that may sign events. */
  readonly actors?: number;
  /** The first node's port; the others follow. */
  readonly baseApiPort?: number;
  readonly baseP2pPort?: number;
  readonly log?: NodeConfig['log'];
  /** Wins over what the test net sets. */
  readonly config?: PartialConfig;
  /** Keys made, out of all. */
  readonly progress?: (done: number, total: number) => void;
}

export const BASE_API_PORT = 8430;
export const BASE_P2P_PORT = 4430;
/** What a person can watch, and a machine with few cores can carry. */
export const TESTNET_NODES_MAX = 32;

interface Saved {
  readonly chain: string;
  readonly nodes: readonly Omit<TestnetNode, 'directory' | 'url'>[];
  readonly operators: number;
}

/** Makes a new test net; throws `not_empty` where something is there already. */
export async function createTestnet(directory: string, options: TestnetOptions): Promise<Testnet> {
  const { nodes: count, actors = 1, progress } = options;
  const { baseApiPort = BASE_API_PORT, baseP2pPort = BASE_P2P_PORT } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0) {
    fail('not_empty', 'The directory holds no whole test net: choose another, or remove it.', {
      directory,
    });
  }
  const total = count + actors;
  const keys: NodeKeys[] = [];
  for (let i = 0; i < count; i++) {
    keys.push(await createNodeKeys(join(directory, nodeName(i))));
    progress?.(keys.length, total);
  }
  const operators: string[] = [];
  for (let i = 0; i < actors; i++) {
    operators.push((await createKeyFile(operatorFile(directory, i))).actor);
    progress?.(count + operators.length, total);
  }
  const now_ms = systemClock.wall_ms();
  const genesis = makeGenesis('testnet', keys, operators, now_ms, newGenesisSchema());
  const nodes = keys.map(({ actor, peer }, i) => {
    return { name: nodeName(i), apiPort: baseApiPort + i, p2pPort: baseP2pPort + i, actor, peer };
  });
  for (const node of nodes) {
    const config = configOf(node, nodes, options);
    await finishDataDir(join(directory, node.name), genesis, config);
  }
  const saved: Saved = { chain: textOf(openChain(genesis).id), nodes, operators: actors };
  await writeNewFile(mapFile(directory), `${JSON.stringify(saved, undefined, 2)}\n`);
  return testnetOf(directory, saved);
}

/** The test net in a directory, or `undefined`; throws `testnet_malformed`. */
export async function openTestnet(directory: string): Promise<Testnet | undefined> {
  const file = mapFile(directory);
  if (!existsSync(file)) return undefined;
  try {
    return testnetOf(directory, JSON.parse(await readFile(file, 'utf8')) as Saved);
  } catch (cause) {
    const message = 'testnet.json cannot be read: remove the directory and make a new test net.';
    throw new X0tError('testnet_malformed', message, { file }, { cause });
  }
}

function configOf(
  node: Saved['nodes'][number],
  all: Saved['nodes'],
  { log = 'info', config = {} }: TestnetOptions,
): PartialConfig {
  const bootstrap = all
    .filter((other) => other !== node)
    .map(({ p2pPort, peer }) => `/ip4/127.0.0.1/tcp/${p2pPort}/p2p/${peer}`);
  return {
    name: node.name,
    log,
    ...config,
    api: { host: '127.0.0.1', port: node.apiPort },
    p2p: { listen: [`/ip4/127.0.0.1/tcp/${node.p2pPort}`], bootstrap },
  };
}

function testnetOf(directory: string, { chain, nodes, operators }: Saved): Testnet {
  return {
    directory,
    chain,
    nodes: nodes.map((node) => ({
      ...node,
      directory: join(directory, node.name),
      url: `http://127.0.0.1:${node.apiPort}`,
    })),
    operators: Array.from({ length: operators }, (_, i) => operatorFile(directory, i)),
  };
}

function nodeName(index: number): string {
  return `node-${index + 1}`;
}

function operatorFile(directory: string, index: number): string {
  return join(directory, 'operators', `operator-${index + 1}.key`);
}

function mapFile(directory: string): string {
  return join(directory, 'testnet.json');
}
