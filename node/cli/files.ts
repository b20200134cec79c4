import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { X0tError, fail } from '#ledger/errors.ts';

/** A file that a command was given, or an open one (0 is stdin); throws `file_unreadable`. */
export function readInput(file: string | 0): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (cause) {
    const data = { file: file === 0 ? 'stdin' : file };
    throw new X0tError('file_unreadable', 'The file cannot be read.', data, { cause });
  }
}

/** Throws `file_unwritable` where a file that is to be made is there: before anything is done. */
export function assertNew(file: string | undefined): void {
  if (file === undefined || !existsSync(file)) return;
  fail('file_unwritable', 'The file cannot be made: name one that is not there.', { file });
}

/** Writes a file that is not there yet; throws `file_unwritable`. */
export function saveNew(file: string, bytes: Uint8Array): void {
  try {
    writeFileSync(file, bytes, { flag: 'wx' });
  } catch (cause) {
    const message = 'The file cannot be made: name one that is not there.';
    throw new X0tError('file_unwritable', message, { file }, { cause });
  }
}
