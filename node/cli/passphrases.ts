import type { Command } from 'commander';
import { read } from 'read';
import { fail } from '#ledger/errors.ts';
import { isPassphraseNamed, passphraseSource } from '#node/passphrase.ts';
import type { Ask, PassphraseSource } from '#node/passphrase.ts';
import { guardsKeys } from './key-guard.ts';

export interface PassphraseOption {
  readonly passphraseFile?: string;
}

/** For every command that reads or makes keys of its own. */
export function withPassphrase(command: Command): Command {
  return guardsKeys(command).option(
    '--passphrase-file <file>',
    'holds the passphrase of encrypted keys (default: X0T_PASSPHRASE_FILE, a credential, or asks)',
  );
}

/** Where this command finds passphrases: a person is asked at most once for all of its files. */
export function passphraseOf({ passphraseFile }: PassphraseOption): PassphraseSource {
  return passphraseSource({ file: passphraseFile, ask: askOnce() });
}

/** For keys that are about to be made: `undefined` where they are not to be encrypted. */
export function newKeysPassphrase(
  options: PassphraseOption & { readonly encrypt?: boolean },
): PassphraseSource | undefined {
  const isNamed = isPassphraseNamed({ file: options.passphraseFile });
  return options.encrypt || isNamed ? passphraseOf(options) : undefined;
}

function askOnce(): Ask {
  const known = new Map<boolean, string>();
  return async (file, isNew) => {
    const found = known.get(isNew) ?? (await askPerson(file, isNew));
    if (found !== undefined) known.set(isNew, found);
    return found;
  };
}

/** On a terminal, without showing what is typed; a new one twice. */
async function askPerson(file: string, isNew: boolean): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const ask = (prompt: string): Promise<string> =>
    read({ prompt, silent: true, output: process.stderr });
  const passphrase = await ask(`${isNew ? 'New passphrase' : 'Passphrase'} for ${file}: `);
  if (isNew && (await ask('Again: ')) !== passphrase) {
    fail('passphrase_differs', 'The two are not equal: nothing was changed.', { file });
  }
  return passphrase;
}
