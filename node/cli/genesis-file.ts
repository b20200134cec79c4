import { readFile } from 'node:fs/promises';
import { openChain } from '#ledger/chain.ts';
import type { Chain } from '#ledger/chain.ts';
import { X0tError, codeOf } from '#ledger/errors.ts';

const HINT = "copy genesis.cbor from a node's data directory.";

/**
 * The genesis object of a network and its chain; throws `genesis_unreadable`, `genesis_invalid` or
 * `unknown_policy`.
 */
export async function readGenesisFile(
  file: string,
): Promise<{ readonly genesis: Uint8Array; readonly chain: Chain }> {
  const genesis = await readFile(file).catch((cause: unknown) => {
    const message = `The genesis file cannot be read: ${HINT}`;
    throw new X0tError('genesis_unreadable', message, { file }, { cause });
  });
  try {
    return { genesis, chain: openChain(genesis) };
  } catch (cause) {
    const reason = codeOf(cause);
    if (reason === 'unknown_policy') throw cause;
    const message = `${file} is no genesis: ${HINT}`;
    throw new X0tError('genesis_invalid', message, { file, reason }, { cause });
  }
}
