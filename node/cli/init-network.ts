import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import { isAddress } from '#node/config-check.ts';
import { API_PORT, P2P_PORT } from '#node/config.ts';
import { prepareNetwork } from '#node/network-dirs.ts';
import type { NetworkPlan, PlannedNetwork } from '#node/network-dirs.ts';
import { addCommand, portNumber, wholeNumber } from './command.ts';
import { guardsKeys } from './key-guard.ts';
import { columns } from './output.ts';

interface Options {
  readonly dir: string;
  readonly name: string;
  readonly validators: readonly string[];
  readonly observers?: readonly string[];
  readonly auditors?: readonly string[];
  readonly operators: number;
  readonly address: string;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly apiName?: readonly string[];
  readonly monitoring?: boolean;
}

const ADDRESS = `/dns4/{name}/tcp/${P2P_PORT}`;
const OPERATORS_MAX = 64;
/** A host's name, which is a folder's too. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export function registerInitNetwork(program: Command): void {
  const about = 'make the data directories of a whole new network; again: only what is missing';
  const { command, does } = addCommand<Options>(program, 'init-network', about, [
    'x0t init-network --dir ./net --validators node-1 node-2 node-3 node-4 --observers watch',
    "x0t init-network --dir ./net --validators a b c d --address '/dns4/{name}.example/tcp/4420'",
  ]);
  guardsKeys(command)
    .option('--dir <dir>', 'holds one folder for each node', './network')
    .option('--name <name>', 'name of the network', 'network')
    .requiredOption('--validators <names...>', 'names of the nodes that seal blocks')
    .option('--observers <names...>', 'names of nodes that follow; the first operator invites them')
    .option('--auditors <names...>', 'names of nodes that follow and audit; invited as well')
    .option('--operators <count>', 'operator keys to make', wholeNumber(0, OPERATORS_MAX), 1)
    .option('--address <multiaddr>', 'where peers reach a node; {name} is its name', ADDRESS)
    .option('--api-host <host>', "what each node's HTTP API listens on", '127.0.0.1')
    .option('--api-port <port>', 'its port', portNumber, API_PORT)
    .option(
      '--api-name <names...>',
      'names by which callers mean it, besides where it listens; {name} is its name',
    )
    .option('--monitoring', 'one token for the metrics of all nodes, in the folder monitoring');
  does(async (out, options) => {
    const made = await prepareNetwork(planOf(options));
    out.show(made, () => describe(made));
  });
}

function planOf(options: Options): NetworkPlan {
  const { dir, name, validators, auditors = [], operators, address } = options;
  const observers = [...(options.observers ?? []), ...auditors];
  if (observers.length > 0 && operators === 0) {
    fail('usage', 'Who follows is invited by an operator: make one with --operators.');
  }
  const names = [...validators, ...observers];
  const taken = new Set(['public', 'operators', 'monitoring']);
  const isOdd = (one: string, i: number): boolean =>
    !NAME.test(one) || names.indexOf(one) !== i || taken.has(one);
  const odd = names.find(isOdd);
  if (odd !== undefined) {
    fail('usage', 'Names of nodes differ, and are made of a-z, 0-9 and "-".', { name: odd });
  }
  const sample = address.replaceAll('{name}', names[0] ?? '');
  if (!isAddress(sample)) {
    fail('address_invalid', `${sample} is no multiaddr: write it like ${ADDRESS}.`, { address });
  }
  const port = /\/tcp\/(\d+)/.exec(sample)?.[1] ?? P2P_PORT;
  return {
    directory: dir,
    name,
    validators,
    observers,
    auditors,
    operators,
    address,
    listen: `/ip4/0.0.0.0/tcp/${port}`,
    hasMonitoring: options.monitoring === true,
    api: {
      host: options.apiHost,
      port: options.apiPort,
      ...(options.apiName && { names: options.apiName }),
    },
  };
}

function describe({ chain, isNew, nodes, operators }: PlannedNetwork): string {
  const rows = nodes.map(({ name, role, actor }) => [name, `${role}  ${actor}`] as const);
  const keys = operators.map((actor, i) => [`operator-${i + 1}`, actor] as const);
  const what = isNew ? 'a new network' : 'the network is there; what was missing was made';
  return `${columns([['chain', chain], ...rows, ...keys])}${what}\n`;
}
