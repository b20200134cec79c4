import { resolve } from 'node:path';
import { openChain } from '#ledger/chain.ts';
import { textOf } from '#ledger/ids.ts';
import type { PartialConfig } from '#node/config.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import { createKeyFile } from '#node/keys.ts';
import type { PassphraseSource } from '#node/passphrase.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { systemClock } from '#node/system.ts';
import { operatorKeyFile } from './places.ts';

/** A data directory that was just made. */
export interface Initialised {
  readonly directory: string;
  readonly role: 'validator';
  /** CID of the genesis object. */
  readonly chain: string;
  readonly actor: string;
  /** The libp2p peer id. */
  readonly peer: string;
  /** The key file with which commands sign. */
  readonly operatorKey: string;
  readonly operator: string;
}

/**
 * Makes a network of one validator, and an operator who is its member. Throws `not_empty`; a
 * directory that a failure left half made is removed by hand.
 */
export async function initialiseNetwork(
  directory: string,
  name: string,
  config: PartialConfig,
  passphrase?: PassphraseSource,
): Promise<Initialised> {
  const keys = await createNodeKeys(directory, passphrase);
  const operatorKey = operatorKeyFile(directory);
  const operator = await createKeyFile(operatorKey, passphrase);
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
