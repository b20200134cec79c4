import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { openChain } from '#ledger/chain.ts';
import { fail } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { dataPaths } from './data-paths.ts';

/**
 * Which network a key signs for. What a key signs for one network is worth nothing in another, as
 * the event names its chain; so nobody else may say which one that is. A key of a data directory is
 * of the network whose genesis lies there; of another one, a note beside it says it: `KEY.network`,
 * the CID of the genesis.
 */

export function networkFile(keyFile: string): string {
  return `${keyFile}.network`;
}

/** The CID of the network, and the file that says it; `undefined` where nothing does. */
function known(keyFile: string): { readonly network: string; readonly file: string } | undefined {
  const note = networkFile(keyFile);
  if (existsSync(note)) return { network: readFileSync(note, 'utf8').trim(), file: note };
  const folder = dirname(keyFile);
  // keys that came later are in a folder of their own
  const directory = dataPaths(dirname(folder)).keys === folder ? dirname(folder) : folder;
  const { genesis: file } = dataPaths(directory);
  if (!existsSync(file)) return undefined;
  return { network: textOf(openChain(readFileSync(file)).id), file };
}

/** Notes the network of a key where nothing says it yet and the folder can be written to. */
export async function noteNetwork(keyFile: string, chain: Id): Promise<void> {
  if (known(keyFile)) return;
  try {
    await writeFile(networkFile(keyFile), `${textOf(chain)}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (!UNWRITABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
const UNWRITABLE: ReadonlySet<string> = new Set(['EACCES', 'EEXIST', 'EPERM', 'EROFS']);

/** Throws `key_of_other_network`. The first network that a key is used with is noted as its own. */
export async function assertNetwork(keyFile: string, chain: Id): Promise<void> {
  const own = known(keyFile);
  if (!own) return noteNetwork(keyFile, chain);
  if (own.network === textOf(chain)) return;
  const message =
    `This node serves another network than ${basename(keyFile)} signs for: nothing was signed. ` +
    `Check the address; if the key is meant for both, remove ${basename(own.file)}.`;
  fail('key_of_other_network', message, {
    keyFile,
    network: own.network,
    node: textOf(chain),
    file: own.file,
  });
}
