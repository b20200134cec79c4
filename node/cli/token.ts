import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import { readToken, renewToken, tokenFile } from '#node/auth/tokens.ts';
import type { TokenName } from '#node/auth/tokens.ts';
import { isInitialised } from '#node/data-paths.ts';
import { systemEntropy } from '#node/system.ts';
import { addCommand } from './command.ts';
import { withData } from './places.ts';
import type { DataOption } from './places.ts';

interface Options extends DataOption {
  readonly monitor?: boolean;
}

const MONITOR = 'the token that reads metrics and nothing else, instead of the operator\'s';

/** `x0t token`: with what requests from this machine prove that they are the operator's. */
export function registerToken(program: Command): void {
  const group = program
    .command('token')
    .description("show and renew the tokens of a node's API");
  const shown = addCommand<Options>(group, 'show', 'print a token: it is a secret', [
    'x0t token show',
    'x0t token show --monitor --data ./alpha',
  ]);
  withData(shown.command).option('--monitor', MONITOR);
  shown.does(async (out, options) => {
    const { file, name } = placeOf(options);
    const token = await readToken(file);
    out.show({ name, file, token }, () => `${token}\n`);
  });

  const about = 'make a new token; the old one ends within a second, in a running node too';
  const renewed = addCommand<Options>(group, 'renew', about, ['x0t token renew']);
  withData(renewed.command).option('--monitor', MONITOR);
  renewed.does(async (out, options) => {
    const { name } = placeOf(options);
    const file = await renewToken(options.data, name, systemEntropy);
    out.show({ name, file }, () => `${file} holds a new token\n`);
  });
}

function placeOf({ data, monitor = false }: Options): { name: TokenName; file: string } {
  if (!isInitialised(data)) {
    const message = 'There is no node here: name its directory with --data.';
    fail('not_initialised', message, { directory: data });
  }
  const name = monitor ? 'monitor' : 'operator';
  return { name, file: tokenFile(data, name) };
}
