import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import { backUp, restoreBackup } from '#node/backup.ts';
import { dataPaths, isInitialised } from '#node/data-paths.ts';
import { keyFilesIn } from '#node/keyring.ts';
import { createKeyFile, publicPem, readKeyFile } from '#node/keys.ts';
import type { ActorKey } from '#node/keys.ts';
import { passphraseSource } from '#node/passphrase.ts';
import type { PassphraseSource } from '#node/passphrase.ts';
import { isSealedFile, resealFile } from '#node/private-file.ts';
import { addCommand } from './command.ts';
import { saveNew } from './files.ts';
import { registerKeyChanges } from './key-changes.ts';
import { columns } from './output.ts';
import type { Output } from './output.ts';
import { newKeysPassphrase, passphraseOf, withPassphrase } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import { withData } from './places.ts';
import type { DataOption } from './places.ts';

interface NewOptions extends PassphraseOption {
  readonly encrypt?: boolean;
}

interface FilesOptions extends PassphraseOption, DataOption {
  readonly newPassphraseFile?: string;
}

interface OutOptions extends FilesOptions {
  readonly out: string;
}

const NEW_PASSPHRASE = 'holds the new passphrase (default: as --passphrase-file)';

export function registerKey(program: Command): void {
  const group = program
    .command('key')
    .description('make, show, encrypt, back up, rotate and revoke keys of actors (ML-DSA-65)');
  registerMaking(group);
  registerSealing(group);
  registerBackup(group);
  registerKeyChanges(group);
}

function registerMaking(group: Command): void {
  const made = addCommand<NewOptions>(group, 'new <file>', 'make a key in a new file', [
    'x0t key new ./me.key --encrypt',
    'x0t key new ./bot.key',
  ]);
  withPassphrase(made.command).option('--encrypt', 'with a passphrase');
  made.does(async (out, options, file = '') => {
    show(out, file, await createKeyFile(file, newKeysPassphrase(options)));
  });

  const shown = addCommand<PassphraseOption>(group, 'show <file>', 'show the public part', [
    'x0t key show ./data/operator.key',
  ]);
  withPassphrase(shown.command);
  shown.does(async (out, options, file = '') => show(out, file, await readOne(file, options)));

  const about = 'write the public part of a key to a new file';
  const exported = addCommand<PassphraseOption & { readonly out: string }>(
    group,
    'export <file>',
    about,
    ['x0t key export ./me.key -o me.pub'],
  );
  withPassphrase(exported.command).requiredOption('-o, --out <file>', 'the new file');
  exported.does(async (out, options, file = '') => {
    const key = await readOne(file, options);
    saveNew(options.out, new TextEncoder().encode(publicPem(key.coseKey)));
    show(out, options.out, key);
  });
}

function readOne(file: string, options: PassphraseOption): Promise<ActorKey> {
  return readKeyFile(file, undefined, passphraseOf(options));
}

function registerSealing(group: Command): void {
  const where = 'key files, or all of the data directory where none is named';
  const sealed = addCommand<FilesOptions>(
    group,
    'encrypt [files...]',
    `encrypt ${where}; again, to change the passphrase`,
    ['x0t key encrypt', 'x0t key encrypt me.key --passphrase-file old --new-passphrase-file new'],
  );
  withPassphrase(withData(sealed.command)).option('--new-passphrase-file <file>', NEW_PASSPHRASE);
  sealed.does(async (out, options, files) => {
    const fresh = freshOf(options);
    await reseal(out, options, files as unknown as readonly string[], fresh);
  });

  const opened = addCommand<FilesOptions>(
    group,
    'decrypt [files...]',
    `keep ${where} without a passphrase, of mode 0600`,
    ['x0t key decrypt ./data/node.key'],
  );
  withPassphrase(withData(opened.command));
  opened.does(async (out, options, files) => {
    await reseal(out, options, files as unknown as readonly string[], undefined);
  });
}

/** The new passphrase; without a file of its own the one that opened the old file serves, too. */
function freshOf(options: FilesOptions): PassphraseSource {
  const { newPassphraseFile } = options;
  if (newPassphraseFile !== undefined) return passphraseSource({ file: newPassphraseFile });
  return passphraseOf(options);
}

async function reseal(
  out: Output,
  options: FilesOptions,
  named: readonly string[],
  fresh: PassphraseSource | undefined,
): Promise<void> {
  const files = named.length > 0 ? named : await keyFilesOf(options.data);
  const old = passphraseOf(options);
  for (const file of files) await resealFile(file, old, fresh);
  const states = await Promise.all(
    files.map(async (file) => ({ file, isEncrypted: await isSealedFile(file) })),
  );
  out.show(states, () =>
    columns(states.map(({ file, isEncrypted }) => [file, isEncrypted ? 'encrypted' : 'plain'])),
  );
}

async function keyFilesOf(directory: string): Promise<string[]> {
  if (!isInitialised(directory)) {
    fail('not_initialised', 'This is no data directory of a node: check --data.', { directory });
  }
  const { key, peerKey, operatorKey, keys } = dataPaths(directory);
  const files = [key, peerKey, operatorKey].filter((file) => existsSync(file));
  return [...files, ...(await keyFilesIn(keys))];
}

function registerBackup(group: Command): void {
  const saved = addCommand<OutOptions>(
    group,
    'backup',
    'save keys, genesis and configuration of a data directory in one encrypted file',
    ['x0t key backup -o alpha.age --data ./alpha'],
  );
  withPassphrase(withData(saved.command))
    .option('--new-passphrase-file <file>', 'holds the passphrase of the backup')
    .requiredOption('-o, --out <file>', 'the new file');
  saved.does(async (out, options) => {
    await keyFilesOf(options.data);
    const from = { old: passphraseOf(options), fresh: freshOf(options) };
    const parts = await backUp(options.data, options.out, from);
    const shown = { file: options.out, parts };
    out.show(shown, () => columns([['file', options.out], ['holds', parts.join(', ')]]));
  });

  const restored = addCommand<FilesOptions & { readonly plain?: boolean }>(
    group,
    'restore <file>',
    'make a data directory of a backup; its node follows until it may seal again',
    ['x0t key restore alpha.age --data ./alpha'],
  );
  withPassphrase(withData(restored.command))
    .option('--new-passphrase-file <file>', NEW_PASSPHRASE)
    .option('--plain', 'do not encrypt the restored keys');
  restored.does(async (out, options, file = '') => {
    const { data, plain = false } = options;
    const parts = await restoreBackup(file, data, {
      old: passphraseOf(options),
      ...(!plain && { fresh: freshOf(options) }),
    });
    const shown = { directory: data, parts };
    out.show(shown, () => columns([['directory', data], ['holds', parts.join(', ')]]));
  });
}

function show(out: Output, file: string, { actor, coseKey, signer }: ActorKey): void {
  const { engine } = signer;
  const key = keyId(coseKey);
  const shown = { file, actor, key, algorithm: 'ML-DSA-65', coseKey: coseKey.toBase64(), engine };
  out.show(shown, () =>
    columns([
      ['file', file],
      ['actor', actor],
      // where it is not the first, which the actor is named after
      ...(key === actor ? [] : [['key', key] as const]),
      ['algorithm', 'ML-DSA-65'],
      ['engine', engine],
    ]),
  );
}
