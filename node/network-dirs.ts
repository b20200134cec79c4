import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openChain } from '#ledger/chain.ts';
import { fail } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import { ADDRS_MAX } from '#ledger/invite.ts';
import { generatePeerKey, peerNameOf } from '#p2p/index.ts';
import { ensureTokens } from '#node/auth/tokens.ts';
import type { PartialConfig } from './config.ts';
import { dataPaths, finishDataDir, isInitialised, makeGenesis } from './data-dir.ts';
import type { NodeKeys } from './data-dir.ts';
import { inviteAhead } from '#node/membership/invite-ahead.ts';
import { writePendingJoin } from '#node/membership/join-file.ts';
import { noteNetwork } from './key-network.ts';
import { createKeyFile, readKeyFile } from './keys.ts';
import type { ActorKey } from './keys.ts';
import { replaceFile, writeNewFile } from './private-file.ts';
import { newGenesisSchema } from './schema.ts';
import { systemClock, systemEntropy } from './system.ts';

/**
 * The data directories of a whole new network whose nodes run on hosts of their own, such as
 * containers: `DIR/NAME` for each, `DIR/operators` with the operators' keys, `DIR/public` with
 * what everybody may read, and where it is asked for `DIR/monitoring` with the token for metrics.
 * Each folder can be a mount: whoever mounts `DIR/NAME` alone sees the secrets of one node.
 */

export interface NetworkPlan {
  readonly directory: string;
  /** Of the network, in the genesis. */
  readonly name: string;
  readonly validators: readonly string[];
  /** They come by an invite of the first operator, which each of them hands over itself. */
  readonly observers: readonly string[];
  /** Those of the observers that audit. */
  readonly auditors?: readonly string[];
  /** Keys of members who may change the committee. */
  readonly operators: number;
  /** Multiaddr at which peers reach a node; `{name}` stands for the node's. */
  readonly address: string;
  /** Multiaddr that each node listens on. */
  readonly listen: string;
  /** Whether all nodes have one token for their metrics, in `DIR/monitoring/token`. */
  readonly hasMonitoring: boolean;
  /** `{name}` in its names stands for the node's. */
  readonly api: NonNullable<PartialConfig['api']>;
}

export interface PlannedNode {
  readonly name: string;
  readonly role: 'validator' | 'observer';
  readonly directory: string;
  readonly actor: string;
  readonly peer: string;
  readonly address: string;
}

export interface PlannedNetwork {
  /** CID of the genesis object. */
  readonly chain: string;
  /** Whether the genesis was made now; else it was there. */
  readonly isNew: boolean;
  readonly nodes: readonly PlannedNode[];
  readonly operators: readonly string[];
}

const PUBLIC = 'public';
const PUBLIC_MODE = 0o644;
const OPERATORS = 'operators';
const MONITORING = 'monitoring';

/**
 * Makes what is missing and keeps what is there, so that it can be run again after an interruption
 * and before every start. Throws `network_key_unknown` where a validator's key is not in the
 * genesis that is there.
 */
export async function prepareNetwork(plan: NetworkPlan): Promise<PlannedNetwork> {
  const { directory, validators, observers } = plan;
  const seats = await keysOf(directory, validators);
  const others = await keysOf(directory, observers);
  const offices: ActorKey[] = [];
  const files: string[] = [];
  for (let i = 1; i <= plan.operators; i++) {
    const file = join(directory, OPERATORS, `operator-${i}.key`);
    files.push(file);
    offices.push(existsSync(file) ? await readKeyFile(file) : await createKeyFile(file));
  }
  const operators = offices.map(({ actor }) => actor);
  const file = join(directory, PUBLIC, 'genesis.cbor');
  const isNew = !existsSync(file);
  if (isNew) {
    const now_ms = systemClock.wall_ms();
    const genesis = makeGenesis(plan.name, seats, operators, now_ms, newGenesisSchema());
    await mkdir(join(directory, PUBLIC), { recursive: true });
    await replaceFile(file, genesis);
    await chmod(file, PUBLIC_MODE);
  }
  const genesis = await readFile(file);
  const chain = openChain(genesis);
  for (const operator of files) await noteNetwork(operator, chain.id);
  const isSeated = new Set(chain.committee.validators.map(({ actor }) => actor));
  for (const [i, { actor }] of seats.entries()) {
    if (isSeated.has(actor)) continue;
    const message = 'This key is not in the genesis: bring back the node, or remove all of it.';
    fail('network_key_unknown', message, { node: validators[i] ?? '', actor, genesis: file });
  }
  const nodes = [
    ...validators.map((name, i) => planned(plan, name, 'validator', seats[i] as NodeKeys)),
    ...observers.map((name, i) => planned(plan, name, 'observer', others[i] as NodeKeys)),
  ];
  for (const node of nodes) {
    if (isInitialised(node.directory)) continue;
    const config = configOf(plan, node, nodes);
    const at = observers.indexOf(node.name);
    const [operator] = offices;
    if (at >= 0 && operator) {
      const pending = await inviteAhead({
        chain: chain.id,
        operator,
        node: others[at] as NodeKeys,
        roles: [plan.auditors?.includes(node.name) ? 'auditor' : 'observer'],
        addrs: (config.p2p?.bootstrap ?? []).slice(0, ADDRS_MAX),
        seq: at,
      });
      await writePendingJoin(node.directory, pending);
    }
    await finishDataDir(node.directory, genesis, config);
  }
  if (plan.hasMonitoring) await shareMonitoring(directory, nodes);
  return { chain: textOf(chain.id), isNew, nodes, operators };
}

/**
 * Whoever reads metrics of several nodes can hold one token only (Prometheus has one file for a
 * job). The copy is for a mount of its own: its reader is another user.
 */
async function shareMonitoring(directory: string, nodes: readonly PlannedNode[]): Promise<void> {
  const file = join(directory, MONITORING, 'token');
  const [first] = nodes;
  if (!existsSync(file) && first) {
    await ensureTokens(first.directory, systemEntropy);
    await mkdir(join(directory, MONITORING), { recursive: true });
    await replaceFile(file, await readFile(dataPaths(first.directory).monitorToken));
    await chmod(file, PUBLIC_MODE);
  }
  const token = await readFile(file);
  for (const node of nodes) {
    const own = dataPaths(node.directory).monitorToken;
    if (!existsSync(own) || !token.equals(await readFile(own))) await replaceFile(own, token);
  }
}

async function keysOf(directory: string, names: readonly string[]): Promise<NodeKeys[]> {
  const keys: NodeKeys[] = [];
  for (const name of names) keys.push(await keysIn(join(directory, name)));
  return keys;
}

/** The keys of one data directory; each that is missing is made. */
async function keysIn(directory: string): Promise<NodeKeys> {
  const paths = dataPaths(directory);
  const key = existsSync(paths.key) ? await readKeyFile(paths.key) : await createKeyFile(paths.key);
  if (!existsSync(paths.peerKey)) await writeNewFile(paths.peerKey, await generatePeerKey());
  const peerKey = await readFile(paths.peerKey);
  return { ...key, peerKey, peer: peerNameOf(peerKey) };
}

function planned(
  { directory, address }: NetworkPlan,
  name: string,
  role: PlannedNode['role'],
  { actor, peer }: NodeKeys,
): PlannedNode {
  const at = address.replaceAll('{name}', name);
  return { name, role, directory: join(directory, name), actor, peer, address: at };
}

/** Every node dials the validators, whatever its own role is. */
function configOf(
  { api, listen }: NetworkPlan,
  { name, address }: PlannedNode,
  nodes: readonly PlannedNode[],
): PartialConfig {
  const others = nodes.filter((other) => other.name !== name && other.role === 'validator');
  const bootstrap = others.map((other) => `${other.address}/p2p/${other.peer}`);
  const names = api.names?.map((one) => one.replaceAll('{name}', name));
  const own = { ...api, ...(names && { names }) };
  return { name, api: own, p2p: { listen: [listen], announce: [address], bootstrap } };
}
