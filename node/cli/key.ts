import type { Command } from 'commander';
import { createKeyFile, readKeyFile } from '#node/keys.ts';
import type { ActorKey } from '#node/keys.ts';
import { addCommand } from './command.ts';
import { columns } from './output.ts';
import type { Output } from './output.ts';

export function registerKey(program: Command): void {
  const group = program.command('key').description('make and show keys of actors (ML-DSA-65)');

  const made = addCommand(group, 'new <file>', 'make a key in a new file of mode 0600', [
    'x0t key new ./me.key',
  ]);
  made.does(async (out, _options, file = '') => show(out, file, await createKeyFile(file)));

  const shown = addCommand(group, 'show <file>', 'show the public part of a key', [
    'x0t key show ./data/operator.key',
  ]);
  shown.does(async (out, _options, file = '') => show(out, file, await readKeyFile(file)));
}

function show(out: Output, file: string, { actor, coseKey, signer }: ActorKey): void {
  const { engine } = signer;
  out.show({ file, actor, algorithm: 'ML-DSA-65', coseKey: coseKey.toBase64(), engine }, () =>
    columns([
      ['file', file],
      ['actor', actor],
      ['algorithm', 'ML-DSA-65'],
      ['engine', engine],
    ]),
  );
}
