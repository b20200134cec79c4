import { resolve } from 'node:path';
import { openChain } from '#ledger/chain.ts';
import { textOf } from '#ledger/ids.ts';
import type { PartialConfig } from '#node/config.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import { createKeyFile } from '#node/keys.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { systemClock } from '#node/system.ts';
import { readGenesisFile } from './genesis-file.ts';
import { operatorKeyFile } from './places.ts';

/** A data directory that was just made. */
export interface Initialised {
  readonly directory: string;
  readonly role: 'validator' | 'observer';
  /** CID of the genesis object. */
  readonly chain: string;
  readonly actor: string;
  /** The libp2p peer id. */
  readonly peer: string;
  /** The key file with which commands sign; none for an observer. */
  readonly operatorKey?: string;
  readonly operator?: string;
}

/**
 * Makes a network of one validator, and an operator who is its member. Throws `not_empty`; a
 * directory that a failure left half made is removed by hand.
 */
export async function initialiseNetwork(
  directory: string,
  name: string,
  config: PartialConfig,
): Promise<Initialised> {
  const keys = await createNodeKeys(directory);
  const operatorKey = operatorKeyFile(directory);
  const operator = await createKeyFile(operatorKey);
  const now_ms = systemClock.wall_ms();
  const genesis = makeGenesis(name, [keys], [operator.actor], now_ms, newGenesisSchema());
  await finishDataDir(directory, genesis, config);
  return {
    directory: resolve(directory),
    role: 'validator',
    chain: textOf(openChain(genesis).id),
    actor: keys.actor,
    peer: keys.peer,
    operatorKey,
    operator: operator.actor,
  };
}

/**
 * Makes a node that follows a network without sealing blocks. Throws `genesis_unreadable`,
 * `genesis_invalid`, and `unknown_policy` for a network that needs other software.
 */
export async function initialiseObserver(
  directory: string,
  genesisFile: string,
  config: PartialConfig,
): Promise<Initialised> {
  const { genesis, chain } = await readGenesisFile(genesisFile);
  const { actor, peer } = await createNodeKeys(directory);
  await finishDataDir(directory, genesis, config);
  return { directory: resolve(directory), role: 'observer', chain: textOf(chain.id), actor, peer };
}
