import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { X0tError } from '#ledger/errors.ts';
import { passphraseSource } from './passphrase.ts';
import type { PassphraseSource } from './passphrase.ts';
import { isSealed, seal, unseal } from './sealed-file.ts';

/** Files of mode 0600, some of them encrypted: keys, and what else belongs to the owner alone. */

const PRIVATE_MODE = 0o600;

/**
 * What a private file holds, decrypted where it is encrypted; by default with a passphrase from the
 * environment (`passphraseSource`).
 */
export async function readSecret(
  file: string,
  passphrase: PassphraseSource = passphraseSource(),
): Promise<Uint8Array> {
  const bytes = await readPrivate(file);
  if (!isSealed(bytes)) return bytes;
  return unseal(bytes.toString('utf8'), await passphrase(file), file);
}

/** Writes a new private file, encrypted where a passphrase is given. Throws `key_exists`. */
export async function writeNewSecret(
  file: string,
  content: string | Uint8Array,
  passphrase?: PassphraseSource,
): Promise<void> {
  const kept = passphrase ? await seal(content, await passphrase(file, true)) : content;
  await writeNewFile(file, kept);
}

/**
 * Encrypts a private file where it is, with another passphrase if it is encrypted already; without
 * a new one, decrypts it. Whole or not at all.
 */
export async function resealFile(
  file: string,
  old: PassphraseSource,
  fresh: PassphraseSource | undefined,
): Promise<void> {
  const content = await readSecret(file, old);
  await replaceFile(file, fresh ? await seal(content, await fresh(file, true)) : content);
}

/** Whether a private file is encrypted. Throws `key_unreadable`. */
export async function isSealedFile(file: string): Promise<boolean> {
  return isSealed(await readPrivate(file));
}

async function readPrivate(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: unknown) => {
    const message = 'The key file cannot be read: check its path and mode.';
    throw new X0tError('key_unreadable', message, { file }, { cause });
  });
}

/** Writes a private file that was not there, whole or not at all. */
export async function writeNewFile(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    await writeFile(file, content, { flag: 'wx', mode: PRIVATE_MODE, flush: true });
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    // a part of a key is no key
    if (!isThere) await rm(file, { force: true });
    throw isThere
      ? new X0tError(
          'key_exists',
          'The file exists and is not overwritten: choose another path.',
          { file },
          { cause },
        )
      : new X0tError(
          'store_failed',
          'The file cannot be written: check the disk.',
          { file },
          { cause },
        );
  }
}

/** Replaces a file whole or not at all. */
export async function replaceFile(file: string, content: string | Uint8Array): Promise<void> {
  const fresh = `${file}.${randomUUID()}.new`;
  try {
    await writeFile(fresh, content, { flag: 'wx', mode: PRIVATE_MODE, flush: true });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}
