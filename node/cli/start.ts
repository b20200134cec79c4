import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { textOf } from '#ledger/ids.ts';
import { addressFile } from '#node/address-file.ts';
import type { NodeConfig, PartialConfig } from '#node/config.ts';
import { isInitialised } from '#node/data-dir.ts';
import { replaceFile } from '#node/private-file.ts';
import { startNode } from '#node/node.ts';
import type { Node } from '#node/node.ts';
import { watchCatchUp } from './catch-up.ts';
import { addCommand, collect, portNumber, wholeNumber } from './command.ts';
import { exposures } from './key-guard.ts';
import { DATA_DIRECTORY, operatorKeyFile, withData } from './places.ts';
import type { Output } from './output.ts';
import { newKeysPassphrase, passphraseOf, withPassphrase } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import type { DataOption } from './places.ts';
import { initialiseNetwork } from './setup.ts';
import { stopRequest } from './signals.ts';

/** How a node that runs until it is stopped is started. */
export interface StartOptions extends DataOption, PassphraseOption {
  readonly apiPort?: number;
  readonly p2pPort?: number;
  readonly listen?: readonly string[];
  readonly announce?: readonly string[];
  readonly bootstrap?: readonly string[];
  readonly mdns?: boolean;
  readonly sync?: NodeConfig['sync'];
  readonly keep?: number;
  readonly log?: NodeConfig['log'];
}

const SYNC_MODES = ['full', 'snapshot'];
const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'];

export function registerStart(program: Command): void {
  const { command, does } = addCommand<StartOptions>(program, 'start', 'run a node until Ctrl-C', [
    'x0t start',
    'x0t start --data ./alpha --log warn',
    'x0t start --data ./watch --p2p-port 4421 --api-port 8421',
  ]);
  withStart(command);
  does(async (out, options) => {
    const { data } = options;
    const isDefault = resolve(data) === resolve(DATA_DIRECTORY);
    if (isDefault && !isInitialised(data)) {
      await initialiseNetwork(data, 'local', {}, newKeysPassphrase(options));
    }
    await runNode(out, options, stopRequest());
  });
}

/** Options of commands that run a node. */
export function withStart(command: Command): Command {
  return withPassphrase(withData(command))
    .option('--api-port <port>', 'port of the HTTP API; 0 takes a free one', portNumber)
    .option('--p2p-port <port>', 'TCP port of libp2p on all addresses', portNumber)
    .option('--listen <multiaddr>', 'listen on this address instead; may be repeated', collect)
    .option('--announce <multiaddr>', 'tell peers this address; may be repeated', collect)
    .option('--bootstrap <multiaddr>', 'a peer to connect to; may be repeated', collect)
    .option('--mdns', 'find peers on the local network')
    .addOption(
      new Option('--sync <mode>', 'take the whole log, or a certified snapshot').choices(
        SYNC_MODES,
      ),
    )
    .option(
      '--keep <events>',
      'keep at least so many final events with their blocks, instead of all',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .addOption(new Option('--log <level>', 'what to log to stderr').choices(LOG_LEVELS));
}

/** Runs the node of a data directory until it is stopped; `watch` looks on and ends with it. */
export async function runNode(
  out: Output,
  options: StartOptions,
  stop: Promise<unknown>,
  watch: (node: Node) => () => void = () => () => undefined,
): Promise<void> {
  const { data } = options;
  const node = await startNode({
    directory: data,
    config: configOf(options),
    passphrase: passphraseOf(options),
    exposures: exposures(),
  });
  await replaceFile(addressFile(data), `${node.url}\n`);
  void stop.then(() => node.stop());
  const { core, url, network } = node;
  const chain = textOf(core.chain.id);
  const started = { url, chain, directory: resolve(data), p2p: network.status().addrs };
  out.show(started, () => hints(node, data));
  const endWatch = watchCatchUp(node);
  const endOther = watch(node);
  try {
    await node.ended;
  } finally {
    endOther();
    endWatch();
    await removeAddress(data, node.url);
  }
}

export function configOf({
  apiPort,
  p2pPort,
  listen,
  announce,
  bootstrap,
  mdns,
  sync,
  keep,
  log,
}: StartOptions): PartialConfig {
  const port = p2pPort === undefined ? undefined : [`/ip4/0.0.0.0/tcp/${p2pPort}`];
  const addresses = listen ?? port;
  const p2p = {
    ...(addresses !== undefined && { listen: addresses }),
    ...(announce !== undefined && { announce }),
    ...(bootstrap !== undefined && { bootstrap }),
    ...(mdns !== undefined && { mdns }),
  };
  return {
    ...(apiPort !== undefined && { api: { port: apiPort } }),
    ...(Object.keys(p2p).length > 0 && { p2p }),
    ...(sync !== undefined && { sync }),
    ...(keep !== undefined && { retention: { events: keep } }),
    ...(log !== undefined && { log }),
  };
}

/**
 * Only this node's own address is removed: a later one may have the directory by now. On a disk
 * that broke it stays: why the node ended is said instead.
 */
async function removeAddress(directory: string, url: string): Promise<void> {
  const file = addressFile(directory);
  const written = await readFile(file, 'utf8').catch(() => '');
  if (written.trim() === url) await rm(file, { force: true }).catch(() => undefined);
}

function hints(node: Node, data: string): string {
  const { core, url, network } = node;
  const { name } = core.chain.genesis;
  // a node that is no member yet authors nothing
  const canWrite = node.status().membership === 'active' || existsSync(operatorKeyFile(data));
  // whoever follows or forms a network has one already
  const isOwnNetwork = core.chain.committee.size === 1 && node.status().role !== 'observer';
  const place = resolve(data) === resolve(DATA_DIRECTORY) ? '' : ` --data ${data}`;
  return [
    `The node of network "${name}" runs. Data: ${resolve(data)}`,
    `  API       ${url}`,
    `  libp2p    ${network.status().addrs.join(' ')}`,
    '',
    'In another terminal:',
    `  npx x0t status${place}`,
    ...(canWrite
      ? [`  npx x0t kv put greeting hello --wait${place}`, `  npx x0t kv get greeting${place}`]
      : [`  npx x0t kv list${place}`, `  npx x0t kv put KEY VALUE --key FILE-OF-A-MEMBER${place}`]),
    `  npx x0t log --follow${place}`,
    ...(isOwnNetwork ? ['  npx x0t testnet --nodes 4'] : []),
    '',
    'Ctrl-C stops it.',
    '',
  ].join('\n');
}
