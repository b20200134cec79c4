import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { decode, encode } from '#ledger/codec.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { claimedText } from './claimed-file.ts';
import { dataPaths } from './data-paths.ts';
import { isKeyFileName, keyFilesIn } from './keyring.ts';
import type { PassphraseSource } from './passphrase.ts';
import { readSecret, writeNewFile, writeNewSecret } from './private-file.ts';
import { seal, unseal } from './sealed-file.ts';

/**
 * A backup of what makes a node itself, without its store: keys, genesis and configuration in one
 * file, encrypted as `node/sealed-file.ts` says. The log comes back from the peers.
 */

/** What a backup holds; those of the second kind are private. */
const PUBLIC = ['genesis', 'config'] as const;
const SECRET = ['key', 'peerKey', 'operatorKey'] as const;
type Part = (typeof PUBLIC)[number] | (typeof SECRET)[number];

interface Backup {
  readonly t: 'backup';
  readonly v: 1;
  readonly files: Readonly<Partial<Record<Part, Uint8Array>>>;
  /** Further keys of the node by the names of their files; none in older backups. */
  readonly keys?: Readonly<Record<string, Uint8Array>>;
}

/** Writes a new backup of a data directory. Throws `key_exists` and the codes of the keys. */
export async function backUp(
  directory: string,
  file: string,
  { old, fresh }: { readonly old: PassphraseSource; readonly fresh: PassphraseSource },
): Promise<readonly string[]> {
  const paths = dataPaths(directory);
  const files: Partial<Record<Part, Uint8Array>> = {};
  for (const part of PUBLIC) if (existsSync(paths[part])) files[part] = await readFile(paths[part]);
  for (const part of SECRET) {
    if (existsSync(paths[part])) files[part] = await readSecret(paths[part], old);
  }
  const keys: Record<string, Uint8Array> = {};
  for (const one of await keyFilesIn(paths.keys)) keys[basename(one)] = await readSecret(one, old);
  const hasKeys = Object.keys(keys).length > 0;
  const backup: Backup = { t: 'backup', v: 1, files, ...(hasKeys && { keys }) };
  await writeNewFile(file, await seal(encode(backup), await fresh(file, true)));
  return namesOf(paths, backup);
}

/** The files that a backup holds. */
function namesOf(
  paths: ReturnType<typeof dataPaths>,
  { files, keys = {} }: Pick<Backup, 'files' | 'keys'>,
): string[] {
  const parts = [...PUBLIC, ...SECRET].filter((part) => files[part]);
  const further = Object.keys(keys).map((name) => `${basename(paths.keys)}/${name}`);
  return [...parts.map((part) => basename(paths[part])), ...further];
}

/**
 * Makes a data directory of a backup. Its store is marked as lost: the node follows until an epoch
 * that began after it has told so, since it cannot know what it has signed since (consensus.md
 * 2.12). Throws `not_empty`, `backup_malformed` and `passphrase_wrong`.
 */
export async function restoreBackup(
  file: string,
  directory: string,
  { old, fresh }: { readonly old: PassphraseSource; readonly fresh?: PassphraseSource },
): Promise<readonly string[]> {
  const backup = await readBackup(file, old);
  const { files, keys = {} } = backup;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0) {
    fail('not_empty', 'The directory is not empty: choose another.', { directory });
  }
  const paths = dataPaths(directory);
  await writeNewFile(paths.claimed, claimedText(1));
  for (const part of SECRET) {
    const content = files[part];
    if (content) await writeNewSecret(paths[part], content, fresh);
  }
  for (const [name, content] of Object.entries(keys)) {
    await writeNewSecret(join(paths.keys, name), content, fresh);
  }
  // a directory counts as a node's when the genesis is there
  for (const part of PUBLIC.toReversed()) {
    const content = files[part];
    if (content) await writeNewFile(paths[part], content);
  }
  return namesOf(paths, backup);
}

async function readBackup(file: string, old: PassphraseSource): Promise<Backup> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new X0tError('file_unreadable', 'The backup cannot be read.', { file }, { cause });
  });
  const bytes = await unseal(text, await old(file), file);
  try {
    const backup = decode(bytes) as Backup;
    const { t, v, files, keys = {} } = backup;
    const isWhole = t === 'backup' && v === 1 && files.genesis && files.key && files.peerKey;
    if (isWhole && Object.keys(keys).every(isKeyFileName)) return backup;
  } catch {
    // said below: what was decrypted is not quoted
  }
  return fail('backup_malformed', 'The file is no backup of a node.', { file });
}
