import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { X0tError, fail } from '#ledger/errors.ts';

/**
 * Gives the passphrase for a file that is encrypted, or is about to be (`isNew`). Throws
 * `passphrase_missing` where there is none, and `passphrase_unreadable`.
 */
export type PassphraseSource = (file: string, isNew?: boolean) => Promise<string>;

/** Asks a person; nothing where nobody can be asked. */
export type Ask = (file: string, isNew: boolean) => Promise<string | undefined>;

/** The name of the credential of systemd (`LoadCredential=`, `LoadCredentialEncrypted=`). */
const CREDENTIAL = 'x0t.passphrase';

export interface PassphraseOptions {
  /** A file that holds it, such as a mounted secret of Kubernetes; wins over the environment. */
  readonly file?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly ask?: Ask;
}

/**
 * A passphrase comes from a file: the one that is given, else `X0T_PASSPHRASE_FILE`, else the
 * credential that systemd passed on; where there is none, a person is asked. It is never an
 * argument or a variable itself: other processes could read those.
 */
export function passphraseSource({
  file,
  env = process.env,
  ask = () => Promise.resolve(undefined),
}: PassphraseOptions = {}): PassphraseSource {
  return async (keyFile, isNew = false) => {
    const credentials = env['CREDENTIALS_DIRECTORY'];
    const named = file ?? env['X0T_PASSPHRASE_FILE'];
    const passphrase =
      (named === undefined ? undefined : await readPassphrase(named)) ??
      (credentials === undefined ? undefined : await credential(credentials)) ??
      (await ask(keyFile, isNew));
    if (passphrase !== undefined) return passphrase;
    return fail(
      'passphrase_missing',
      'The file is encrypted: name a file with the passphrase, --passphrase-file FILE.',
      { file: keyFile },
    );
  };
}

/** Whether a passphrase is there without asking anybody: new keys are encrypted then. */
export function isPassphraseNamed({ file, env = process.env }: PassphraseOptions): boolean {
  const credentials = env['CREDENTIALS_DIRECTORY'];
  const isPassedOn = credentials !== undefined && existsSync(join(credentials, CREDENTIAL));
  return file !== undefined || env['X0T_PASSPHRASE_FILE'] !== undefined || isPassedOn;
}

/** Systemd passes on only what the unit asks for. */
async function credential(directory: string): Promise<string | undefined> {
  try {
    return await readPassphrase(join(directory, CREDENTIAL));
  } catch (error) {
    const { cause } = error as X0tError;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The file's text without the newline at its end. */
async function readPassphrase(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const message = 'The file with the passphrase cannot be read: check its path and mode.';
    throw new X0tError('passphrase_unreadable', message, { file }, { cause });
  });
  return text.replace(/\r?\n$/, '');
}
