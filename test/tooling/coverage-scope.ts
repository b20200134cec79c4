/** What is measured: the folders that `.nycrc.json` includes, `.ts` files other than tests. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');

interface NycConfig {
  readonly include: readonly string[];
}

const { include } = JSON.parse(readFileSync(join(ROOT, '.nycrc.json'), 'utf8')) as NycConfig;
const FOLDERS = include.map((pattern) => pattern.split('/')[0] ?? '');

/** Whether the file of this absolute path counts. */
export function isMeasured(path: string): boolean {
  const inside = relative(ROOT, path).split(sep);
  return FOLDERS.includes(inside[0] ?? '') && path.endsWith('.ts') && !path.endsWith('.test.ts');
}

/** Absolute paths of all files that count, loaded by a test or not. */
export function measuredFiles(): string[] {
  return FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => join(ROOT, folder, String(name)))
    .filter(isMeasured));
}
