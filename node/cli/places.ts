import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import { addressFile } from '#node/address-file.ts';
import { API_PORT } from '#node/config.ts';
import { dataPaths, isInitialised } from '#node/data-paths.ts';
import { withPassphrase } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import { withServer } from './server-trust.ts';
import type { ServerOptions } from './server-trust.ts';

/** Where commands look for a node and its keys. */

export const DATA_DIRECTORY = './data';

/** The key with which commands sign for the operator of a data directory. */
export function operatorKeyFile(directory: string): string {
  return dataPaths(directory).operatorKey;
}

export interface DataOption {
  readonly data: string;
  /** Whether `data` was given; else it is the default, which need not be there. */
  readonly isDataGiven?: boolean;
}

export interface NodeOptions extends DataOption, PassphraseOption, ServerOptions {
  readonly url?: string;
  readonly key?: string;
  readonly tokenFile?: string;
}

export function withData(command: Command): Command {
  return command.option('--data <dir>', 'data directory', DATA_DIRECTORY);
}

/** Options of commands that ask a running node. */
export function withNode(command: Command): Command {
  const asking = withPassphrase(withData(command))
    .option('--url <url>', "the node's API (default: as the data directory says)")
    .option('--key <file>', 'sign with this key (default: operator.key in the data directory)')
    .option(
      '--token-file <file>',
      'holds the token to prove oneself with (default: that of the data directory)',
    );
  return withServer(asking);
}

/**
 * `--url`, else what a running node wrote into the data directory, else the default port here.
 * Where `--data` is given the node is that of the directory and no other: throws
 * `not_initialised`, and `node_unreachable` where it does not run.
 */
export function apiUrl({ url, data, isDataGiven = false }: NodeOptions): string {
  if (isDataGiven && !isInitialised(data)) {
    fail('not_initialised', 'This is no data directory of a node: check --data.', {
      directory: data,
    });
  }
  if (url !== undefined) return url;
  const file = addressFile(data);
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  if (isDataGiven) {
    fail('node_unreachable', 'The node of this directory does not run: start it, or give --url.', {
      directory: data,
    });
  }
  return `http://127.0.0.1:${API_PORT}`;
}
