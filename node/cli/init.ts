import type { Command } from 'commander';
import type { PartialConfig } from '#node/config.ts';
import { fail } from '#ledger/errors.ts';
import { isAddress } from '#node/config-check.ts';
import { addCommand, collect, portNumber } from './command.ts';
import { columns } from './output.ts';
import { newKeysPassphrase, withPassphrase } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import { withData } from './places.ts';
import type { DataOption } from './places.ts';
import { initialiseNetwork } from './setup.ts';
import type { Initialised } from './setup.ts';

interface Options extends DataOption, PassphraseOption {
  readonly encrypt?: boolean;
  readonly name: string;
  readonly bootstrap?: readonly string[];
  readonly apiPort?: number;
  readonly p2pPort?: number;
}

export function registerInit(program: Command): void {
  const about = 'make a new network and its first node';
  const { command, does } = addCommand<Options>(program, 'init', about, [
    'x0t init',
    'x0t init --data ./alpha --name alpha --api-port 8421 --p2p-port 4421',
  ]);
  withPassphrase(withData(command))
    .option('--encrypt', 'encrypt the keys; without this where a passphrase file is named')
    .option('--name <name>', 'name of the new network', 'local')
    .option('--bootstrap <multiaddr>', 'a peer to connect to; may be repeated', collect)
    .option('--api-port <port>', 'port of the HTTP API', portNumber)
    .option('--p2p-port <port>', 'TCP port of libp2p', portNumber);
  does(async (out, options) => {
    const made = await initialise(options);
    out.show(made, () => describe(made, options.data));
  });
}

async function initialise(options: Options): Promise<Initialised> {
  for (const address of options.bootstrap ?? []) {
    if (isAddress(address)) continue;
    const form = '/ip4/192.0.2.7/tcp/4420/p2p/12D3Koo…';
    fail('address_invalid', `${address} is no multiaddr: write it like ${form}.`, { address });
  }
  return initialiseNetwork(
    options.data,
    options.name,
    configOf(options),
    newKeysPassphrase(options),
  );
}

function configOf({ apiPort, p2pPort, bootstrap }: Options): PartialConfig {
  const p2p = {
    ...(p2pPort !== undefined && { listen: [`/ip4/0.0.0.0/tcp/${p2pPort}`] }),
    ...(bootstrap !== undefined && { bootstrap }),
  };
  return {
    ...(apiPort !== undefined && { api: { port: apiPort } }),
    ...(Object.keys(p2p).length > 0 && { p2p }),
  };
}

function describe(made: Initialised, data: string): string {
  const rows: (readonly [string, string])[] = [
    ['directory', made.directory],
    ['role', made.role],
    ['chain', made.chain],
    ['actor', made.actor],
    ['peer', made.peer],
  ];
  rows.push(['operator', made.operator]);
  return `${columns(rows)}\nStart it: npx x0t start --data ${data}\n`;
}
