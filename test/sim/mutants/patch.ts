import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mutant } from './table.ts';

/** What a run needs of the project. */
const COPIED = ['ledger', 'projections', 'governance', 'native', 'p2p', 'node', 'test/sim'];
const FILES = ['package.json'];

/**
 * Copies the sources to a folder of its own and makes the mutant's changes there. Throws where a
 * text to replace does not stand exactly once: the mutant has to follow the code. The caller
 * removes the folder.
 */
export function patchedCopy(root: string, mutant: Mutant): string {
  const copy = mkdtempSync(join(tmpdir(), 'x0t-mutant-'));
  try {
    mkdirSync(join(copy, 'test'));
    for (const name of [...COPIED, 'test/support', ...FILES]) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    for (const { file, find, replace } of mutant.edits) {
      const path = join(copy, file);
      writeFileSync(path, replacedOnce(readFileSync(path, 'utf8'), find, replace, file));
    }
  } catch (error) {
    rmSync(copy, { recursive: true, force: true });
    throw error;
  }
  return copy;
}

function replacedOnce(text: string, find: string, replace: string, file: string): string {
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new Error(`${file} holds ${parts.length - 1} times what a mutant replaces: ${find}`);
  }
  return parts.join(replace);
}
