/** The project's own files, as the style test sees them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import { FOLDERS, SKIPPED_FOLDERS } from './tidy-rules.ts';

export interface ProjectFile {
  /** Relative to the root, with `/`. */
  readonly file: string;
  readonly text: string;
}

const ROOT = join(import.meta.dirname, '..', '..');

/** Files of these endings in `FOLDERS` and in the root itself, sorted by name. */
export function projectFiles(endings: readonly string[], folders = FOLDERS): ProjectFile[] {
  const here = readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
  const below = folders.filter((folder) => existsSync(join(ROOT, folder))).flatMap(filesBelow);
  return [...here, ...below]
    .filter((file) => endings.some((ending) => file.endsWith(ending)))
    .toSorted()
    .map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1).split(sep).join('/'))
    .filter((file) => !file.split('/').some((part) => SKIPPED_FOLDERS.includes(part)));
}
